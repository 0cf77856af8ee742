# Written by nbremote at each start; changes are lost. It is read after the
# user's own configuration, and keeps what guards this server: its token,
# where it listens, and who may talk to it. Whoever cannot read it must not
# start: SystemExit is what Jupyter does not swallow.
import hashlib
import hmac
import logging
import os
import sys


def _silence(*secrets):
    # Jupyter leaves the token out of most of what it logs, tornado does not:
    # an address with ?token= that is not found is logged in full. With --debug
    # all settings are.
    make, formatter = logging.getLogRecordFactory(), logging.Formatter()

    def clean(text):
        for secret in secrets:
            text = text.replace(secret, "[secret]")
        return text

    def record(*args, **kwargs):
        r = make(*args, **kwargs)
        try:
            text = r.getMessage()
            if clean(text) != text:
                r.msg, r.args = clean(text), ()
            if r.exc_info:
                text = formatter.formatException(r.exc_info)
                if clean(text) != text:
                    r.exc_text = clean(text)
        except Exception:
            pass  # the record's own maker will say what is wrong with it
        return r

    logging.setLogRecordFactory(record)


def _guard(c, env):
    with open(env.pop("NBREMOTE_TOKEN_FILE")) as f:
        token = f.read().strip()
    if len(token) < 16:
        raise ValueError("the token file is too short")
    # A browser that has shown the token is let in for as long as the token is
    # this one, and no longer.
    cookie = hmac.new(token.encode(), b"cookie", hashlib.sha256).hexdigest()
    _silence(token, cookie)
    ours = env.pop("NBREMOTE_CONFIG_DIR")
    sock = env.pop("NBREMOTE_SOCK", "")
    port = int(env.pop("NBREMOTE_PORT"))
    relay = env.pop("NBREMOTE_RELAY", "")
    # What is started in a terminal or a kernel of this server has the
    # configuration of its user, not this one.
    rest = [p for p in env.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep) if p and p != ours]
    env.pop("JUPYTER_CONFIG_PATH", None)
    if rest:
        env["JUPYTER_CONFIG_PATH"] = os.pathsep.join(rest)

    server = sys.modules.get("jupyter_server.serverapp")
    if server is not None:
        name, traits = "ServerApp", server.ServerApp.class_traits()
    else:
        name, traits = "NotebookApp", sys.modules["notebook.notebookapp"].NotebookApp.class_traits()
    two = "identity_provider_class" in traits
    here = os.getcwd()
    values = {
        "token": token,
        "cookie_secret": cookie.encode(),
        "password": "",
        "password_required": False,
        "allow_password_change": False,
        "ip": "127.0.0.1",
        "sock_mode": "0600",
        "port_retries": 50,
        "base_url": "/",
        "allow_origin": "",
        "allow_origin_pat": "",
        "allow_credentials": False,
        "allow_remote_access": False,
        "local_hostnames": ["localhost"],
        "disable_check_xsrf": False,
        "trust_xheaders": False,
        "certfile": "",
        "keyfile": "",
        "client_ca": "",
        "ssl_options": {},
        "custom_display_url": "",
        "file_to_run": "",
        "open_browser": False,
        "use_redirect_file": True,
        "allow_root": True,
        "root_dir": here,
        "notebook_dir": here,
        "preferred_dir": here,
        # In milliseconds. What a relay keeps is not to be given up because a
        # page is away; where there is none, a dead page is noticed before much
        # is written into it.
        "tornado_settings": {"ws_ping_interval": 0} if relay else {"ws_ping_interval": 2000, "ws_ping_timeout": 6000},
    }
    # With a socket the port must be the default: the two exclude each other.
    if sock and "sock" in traits:
        values["sock"], values["port"] = sock, 8888
    else:
        values["sock"], values["port"] = "", port
    if server is not None:
        del values["notebook_dir"]
    if two:
        values["identity_provider_class"] = "jupyter_server.auth.identity.PasswordIdentityProvider"
        # These old names would be warned about, and the new ones beat them.
        del values["token"], values["allow_password_change"]
        c.IdentityProvider.token = c.PasswordIdentityProvider.token = token
        c.PasswordIdentityProvider.hashed_password = ""
        c.PasswordIdentityProvider.password_required = False
        c.PasswordIdentityProvider.allow_password_change = False
        z = c.ZMQChannelsWebsocketConnection
        z.limit_rate = False
        z.iopub_msg_rate_limit = z.iopub_data_rate_limit = 0
    else:
        values["iopub_msg_rate_limit"] = values["iopub_data_rate_limit"] = 0
    contents = sys.modules.get("jupyter_server.services.contents.manager")
    if contents is not None and "preferred_dir" in contents.ContentsManager.class_traits():
        c.ContentsManager.preferred_dir = c.FileContentsManager.preferred_dir = ""
        del values["preferred_dir"]
    c.FileContentsManager.root_dir = here
    for key, value in values.items():
        if key in traits:
            c[name][key] = value


try:
    _guard(get_config(), os.environ)  # noqa: F821
except Exception as e:
    sys.stderr.write("nbremote: the configuration that guards this server cannot be read: %r\n" % (e,))
    raise SystemExit(78)
