//go:build linux

package lab_test

import (
	"os"
	"os/exec"
	"testing"

	"nbremote/test/lab"
)

func TestSample_SeesWhatIsInArguments(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		lab.Missing(t, "root")
	}
	s := lab.Sample(t)
	if err := exec.Command("/bin/sh", "-c", "sleep 2; true", "secret-for-the-sampler").Run(); err != nil {
		t.Fatal(err)
	}
	if found := s.Find("secret-for-the-sampler"); len(found) != 1 {
		t.Errorf("found %q", found)
	}
	if found := s.Find("never given to " + "anybody"); len(found) != 0 {
		t.Errorf("found %q", found)
	}
}
