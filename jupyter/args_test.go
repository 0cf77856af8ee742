package jupyter

import (
	"errors"
	"strings"
	"testing"
)

func TestA2_NoSecretsInArguments(t *testing.T) {
	for _, arg := range []string{
		"--ServerApp.token=secret", "--IdentityProvider.token", "--NotebookApp.token=", "--PasswordIdentityProvider.hashed_password=x",
		"--ServerApp.password=x", "--ip=0.0.0.0", "--ip", "--ServerApp.ip=*", "--port=1", "--por", "--ServerApp.port=1", "--sock=/s", "--soc=/s",
		"--ServerApp.allow_origin=*", "--ServerApp.allow_origin_pat=.*", "--LabApp.allow_origin=*", "--ServerApp.allow_remote_access=True",
		"--ServerApp.disable_check_xsrf=True", "--certfile=x", "--keyfile=x", "--config=x", "--conf=x", "--ServerApp.config_file=x",
		"--notebook-dir=/", "--ServerApp.root_dir=/", "--ServerApp.base_url=/x", "--ServerApp.tornado_settings={}",
		"--ServerApp.tornado_settings.disable_check_xsrf=True", "-ServerApp.token=x", "--ServerApp.identity_provider_class=x", "--generate-config", "--show-config",
		"--ServerApp.LOCAL_HOSTNAMES=x",
	} {
		err := checkArgs([]string{"--debug", arg})
		var usage *UsageError
		if !errors.As(err, &usage) || usage.Class() != "usage" || usage.Hint() == "" {
			t.Errorf("%s is given on: %v", arg, err)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the value is told: %v", err)
		}
	}
}

func TestArgumentsThatAreFine(t *testing.T) {
	fine := []string{
		"--debug", "-y", "--log-level=DEBUG", "--transport=ipc", "--KernelManager.transport=ipc", "--LabApp.collaborative=True",
		"--MappingKernelManager.cull_idle_timeout=3600", "--no-script", "notes.ipynb", "token", "--gateway-url=http://x", "--pylab",
	}
	if err := checkArgs(fine); err != nil {
		t.Error(err)
	}
}
