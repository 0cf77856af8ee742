# What a kernel is asked, and what its answers mean.
import ast

FACTS = r'''
def _nbr_facts():
    import json, os, platform, shutil, sys, importlib.util
    from ipykernel import __version__
    shell = os.environ.get("PATH", "")
    return json.dumps({
        "prefix": sys.prefix, "base": getattr(sys, "base_prefix", ""), "python": platform.python_version(), "path": sys.path[:50],
        "platform": platform.platform(), "ipykernel": str(__version__), "virtual_env": os.environ.get("VIRTUAL_ENV", ""),
        "which_python": shutil.which("python"), "which_pip": shutil.which("pip"), "literal": "${PATH}" in shell.split(os.pathsep),
        "has_torch": importlib.util.find_spec("torch") is not None,
    })

def _nbr_torch():
    import json, torch
    return json.dumps({"torch": str(torch.__version__), "cuda": str(torch.version.cuda or ""), "gpus": int(torch.cuda.device_count())})
'''
TORCH_TIME = 20


class Failure(Exception):
    """The kernel is none: text says it in a few words, words are its own."""

    def __init__(self, text, words=()):
        Exception.__init__(self, text)
        self.text, self.words = text, list(words)


class Late(Exception):
    """No answer in time."""


def value(reply, key):
    if reply.get("status") != "ok":
        raise Failure("it cannot run a line of Python", trace(reply))
    one = (reply.get("user_expressions") or {}).get(key) or {}
    if one.get("status") != "ok":
        raise Failure("it cannot run a line of Python", trace(one))
    return ast.literal_eval(one["data"]["text/plain"])


def trace(reply):
    return [("%s: %s" % (reply.get("ename", "error"), reply.get("evalue", "no reason given")))[:400]]


def question(ask, deadline):
    """ask(code, expressions, until) gives the content of the reply."""
    reply = ask(FACTS, {"two": "1+1", "facts": "_nbr_facts()"}, deadline)
    if value(reply, "two") != 2:
        raise Failure("1+1 is not 2 there")
    facts = json.loads(value(reply, "facts"))
    if facts["has_torch"]:
        try:
            until = min(deadline, time.monotonic() + TORCH_TIME)
            facts.update(json.loads(value(ask("", {"torch": "_nbr_torch()"}, until), "torch")))
        except Late:
            facts["torch_why"] = "it did not load in time"
        except Failure as err:
            facts["torch_why"] = (err.words or [err.text])[-1]
    return facts


def inside(path, prefix):
    real = os.path.realpath(prefix)
    return path == real or path.startswith(real.rstrip("/") + "/")


def judge(job, facts):
    """Is it the environment that was meant? Gives what is worth a remark."""
    prefix, notes = job["prefix"], []
    if job["with"]:
        # uv lays an environment of its own over the project's.
        if not any(inside(os.path.realpath(p), prefix) for p in facts["path"] if p):
            raise Failure("it runs %s, which is not over %s" % (facts["prefix"], prefix))
    elif prefix and os.path.realpath(facts["prefix"]) != os.path.realpath(prefix):
        raise Failure("it runs %s, not %s" % (facts["prefix"], prefix))
    for tool in () if job["with"] else ("python", "pip"):
        own, found = os.path.join(prefix, "bin", tool), facts["which_" + tool]
        if os.path.exists(own) and (not found or os.path.dirname(os.path.realpath(os.path.dirname(found) + "/.")) != os.path.realpath(prefix)):
            notes.append("!%s in it is %s, not the environment's own" % (tool, found or "not found"))
    gone = script_python(os.path.join(prefix, "bin/pip"))
    if gone and not job["with"]:
        notes.append("its pip wants %s, which is gone: was it moved? %%pip install works" % gone)
    if job["spec"]["env"].get("VIRTUAL_ENV") and facts["virtual_env"] != prefix:
        notes.append("VIRTUAL_ENV in it is %r" % facts["virtual_env"])
    if facts["literal"] and job["server"]:
        notes.append("the Jupyter there is too old to extend PATH: programs outside of the environment are not found")
    if facts.get("torch_why"):
        notes.append("torch is there, but: " + facts["torch_why"])
    return notes


def script_python(path):
    """The interpreter of a script, if it is gone."""
    try:
        with open(path, "rb") as f:
            first = os.fsdecode(f.readline(4096)).rstrip("\n")
    except OSError:
        return None
    words = first[2:].split(" ")
    return words[0] if first.startswith("#!/") and not os.path.exists(words[0]) else None
