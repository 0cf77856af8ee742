# What a server would do under each line of a user's configuration, one line
# at a time: EVIL holds the lines, FILES the names they are tried under. Prints
# one JSON object per case.
import json, os, sys
from jupyter_server.serverapp import ServerApp

home = os.environ["HOME"]
for name in os.environ["FILES"].split():
    for line in os.environ["EVIL"].splitlines():
        path = os.path.join(home, ".jupyter", name)
        with open(path, "w") as f:
            f.write("c = get_config()\n" + line + "\n")
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            try:
                app = ServerApp.instance()
                app.initialize([], new_httpserver=False, find_extensions=False)
                s, i = app.web_app.settings, app.identity_provider
                got = {
                    "token": i.token, "cookie": s["cookie_secret"].hex(), "password": i.hashed_password, "class": type(i).__name__, "enabled": i.auth_enabled,
                    "required": i.password_required, "ip": app.ip, "port": app.port, "sock": app.sock, "sock_mode": app.sock_mode,
                    "base": s["base_url"], "origin": app.allow_origin + app.allow_origin_pat + s.get("allow_origin", ""), "remote": s["allow_remote_access"],
                    "names": s["local_hostnames"], "xsrf": not s["disable_check_xsrf"] and s["xsrf_cookies"], "cert": app.certfile + app.keyfile,
                    "root": app.contents_manager.root_dir, "preferred": app.contents_manager.preferred_dir,
                    "ping": [s["ws_ping_interval"], s["ws_ping_timeout"]], "ssl": app.ssl_options, "credentials": app.allow_credentials,
                    "path": os.environ.get("JUPYTER_CONFIG_PATH", ""), "left": [k for k in os.environ if k.startswith("NBREMOTE")],
                }
            except BaseException as e:
                got = {"error": repr(e)}
            print(json.dumps({"case": name + ": " + line, "got": got}))
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        os.remove(path)
