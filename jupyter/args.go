package jupyter

import (
	"fmt"
	"strings"
)

// guarded are the settings that our configuration keeps: what they hold must
// not stand in an argument that every user of the host can read, or would
// open the server.
var guarded = map[string]string{
	"token": "", "password": "", "hashed_password": "", "password_required": "", "cookie_secret": "",
	"cookie_secret_file": "", "identity_provider_class": "", "login_handler_class": "", "authorizer_class": "",
	"ip": "", "port": "--port is the local one", "port_retries": "", "sock": "", "sock_mode": "", "base_url": "",
	"allow_origin": "", "allow_origin_pat": "", "allow_credentials": "", "allow_remote_access": "",
	"allow_unauthenticated_access": "", "local_hostnames": "", "disable_check_xsrf": "", "trust_xheaders": "",
	"certfile": "", "keyfile": "", "client_ca": "", "ssl_options": "", "tornado_settings": "", "webapp_settings": "",
	"config": "put it into ~/.jupyter/jupyter_server_config.py there", "config_file": "put it into ~/.jupyter/jupyter_server_config.py there",
	"runtime_dir": "", "root_dir": "HOST:DIR", "notebook_dir": "HOST:DIR", "generate_config": "", "show_config": "", "show_config_json": "",
}

// checkArgs refuses arguments for Jupyter that set what is guarded.
func checkArgs(args []string) error {
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			continue
		}
		option, _, _ := strings.Cut(arg, "=") // the value may be a secret
		name := strings.ToLower(strings.ReplaceAll(strings.TrimLeft(option, "-"), "-", "_"))
		parts := strings.Split(name, ".")
		for i, part := range parts {
			if i == 0 && len(parts) > 1 {
				continue // the class
			}
			if try, ok := keeps(part, len(parts) == 1); ok {
				return &UsageError{What: fmt.Sprintf("give %.60q to Jupyter: nbremote sets that itself", option), Try: try}
			}
		}
	}
	return nil
}

// keeps tells whether a name is guarded. Jupyter's parser takes the beginning
// of an option for the whole.
func keeps(name string, shortened bool) (try string, ok bool) {
	for long, try := range guarded {
		if name == long || shortened && len(name) >= 2 && strings.HasPrefix(long, name) {
			if try == "" {
				try = "leave it out"
			}
			return try, true
		}
	}
	return "", false
}
