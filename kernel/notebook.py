# Runs one notebook by papermill; the argument is one JSON object. What the cells
# print comes out as they print it. What has been run so far is beside the
# notebook as NAME.out.ipynb, put there by rename, so that it is always whole.
import json
import os
import re
import signal
import sys
import tempfile

here = sys.path.pop(0)  # nothing is to be imported from the session's directory
import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import papermill_io
from papermill.log import logger

EVERY = 10  # seconds between saves while one cell runs
TAG = "papermill-error-cell-tag"  # papermill takes such cells away from its input


class Output:
    """What is printed; a head begins a line of its own."""

    def __init__(self):
        for f in (sys.stdout, sys.stderr):
            f.reconfigure(encoding="utf-8", errors="backslashreplace")
        self.whole = {sys.stdout: True, sys.stderr: True}

    def put(self, text, to):
        if text:
            to.write(text)
            to.flush()
            self.whole[to] = text.endswith("\n")

    def line(self, text, to):
        self.put(("" if self.whole[to] else "\n") + text + "\n", to)

    def say(self, text):
        self.line("nbremote: " + text, sys.stderr)

    def show(self, msg):
        kind, content = msg["msg_type"], msg["content"]
        if kind == "execute_input":
            run.count = content["execution_count"]
            code = content["code"].strip().split("\n")
            self.line("In [%s]: %s" % (run.count, code[0] + (" …" if len(code) > 1 else "")), sys.stdout)
        elif kind == "stream":
            self.put(content["text"], sys.stderr if content["name"] == "stderr" else sys.stdout)
        elif kind in ("display_data", "execute_result") and "text/plain" in content["data"]:
            head = "Out[%s]: " % run.count if kind == "execute_result" else ""
            self.line(head + "".join(content["data"]["text/plain"]), sys.stdout)
        elif kind == "error":
            self.line(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"])), sys.stderr)


class Beside:
    """papermill's way to files: what it writes is published."""

    def __init__(self, mode):
        self.mode, self.mine, self.trouble = mode, None, None

    def read(self, path):
        with open(path, encoding="utf-8") as f:
            return f.read()

    def listdir(self, path):
        return os.listdir(path)

    def pretty_path(self, path):
        return path

    def write(self, text, path):
        try:
            self.publish(text, path)
            self.trouble = None
        except OSError as e:
            if self.mine is None:  # nothing has been run yet
                raise
            if self.trouble is None:
                out.say("cannot write %s: %s; the cells run on" % (os.path.basename(path), e.strerror))
            self.trouble = e

    def publish(self, text, path):
        folder, name = os.path.split(path)
        fd, part = tempfile.mkstemp(".part", "." + name + ".", folder)
        try:
            with os.fdopen(fd, "wb") as f:
                f.write(text.encode("utf-8", "backslashreplace"))
                os.fchmod(fd, self.mode)
            self.keep(path)
            os.rename(part, path)
        except BaseException:
            os.unlink(part)
            raise
        self.mine = ident(path)

    def keep(self, path):
        """What is there and was not written by this run gets a number."""
        if ident(path) in (None, self.mine):
            return
        n, kept = 0, path
        while os.path.lexists(kept):
            n += 1
            kept = "%s.%d.ipynb" % (path[:-len(".ipynb")], n)
        os.rename(path, kept)
        out.say("what %s was before is now %s" % (os.path.basename(path), os.path.basename(kept)))


def ident(path):
    try:
        s = os.lstat(path)
        return s.st_dev, s.st_ino
    except FileNotFoundError:
        return None


class Native(KernelSpecManager):
    """This Python, whatever others are called python3."""

    def get_kernel_spec(self, name):
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], display_name=name, language="python")


class Client(PapermillNotebookClient):
    def create_kernel_manager(self):
        run.km = super().create_kernel_manager()
        if run.native:
            run.km.kernel_spec_manager = Native()
            if len(private) < 90:  # on sockets, where no other account can listen
                run.km.transport, run.km.ip = "ipc", private + "/k"
        return run.km

    def process_message(self, msg, *args, **kwargs):
        out.show(msg)
        return super().process_message(msg, *args, **kwargs)


class Ours(Engine):
    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, start_timeout=60, **kwargs):
        run.man = nb_man
        Client(nb_man, kernel_name=kernel_name, startup_timeout=start_timeout, timeout=None, log=logger).execute()


class Run:
    def __init__(self):
        self.km = self.man = self.count = self.native = None
        self.stopped = False

    def stop(self, number, frame):
        """Ends the kernel. The client sees that, and papermill saves what there is."""
        if not self.man:
            die()
        self.stopped, logger.disabled = True, True
        signal.setitimer(signal.ITIMER_REAL, 0.5)  # it may just be starting
        of = getattr(self.km, "provisioner", None) or getattr(self.km, "kernel", None)
        try:
            group = os.getpgid(of.pid)
            (os.kill if group == os.getpgrp() else os.killpg)(of.pid, signal.SIGKILL)
        except (AttributeError, TypeError, OSError):
            pass

    def mark(self, text, path):
        """Says in the notebook that it was not run to its end."""
        nb = nbformat.v4.upgrade(self.man.nb)
        begun = [c for c in nb.cells if c.metadata.get("papermill", {}).get("start_time")]
        for cell in nb.cells:
            if "papermill" in cell.metadata and cell not in begun:
                cell.metadata.papermill["status"] = "pending"
        if begun:
            begun[-1].metadata.papermill.update(status="failed", exception=True)
        nb.metadata.papermill["exception"] = True
        note = nbformat.v4.new_markdown_cell("**" + text + ".** What was not run has no output.")
        note.metadata["tags"] = [TAG]
        nb.cells.insert(0, note)
        beside.write(nbformat.writes(nb), path)


def die():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def target(wish, source):
    """The session's name, but for what a name cannot hold."""
    with open(here + "/name") as f:
        name = f.read()
    stem = os.path.basename(source)[:-len(".ipynb")]
    if name.startswith(wish["auto"] or "\n"):
        name = stem + name[len(wish["auto"]):]
    return os.path.join(os.path.dirname(source), name + ".out.ipynb")


def kernel(nb, wish):
    """Name and language. A notebook of Python runs in the environment that was
    asked for, else by the kernel that it names, if that is here."""
    spec = nb.metadata.get("kernelspec", {})
    name = spec.get("name") or "python3"
    language = spec.get("language") or nb.metadata.get("language_info", {}).get("name") or "python"
    if language == "python":
        known = wish["own"] or name == "python3" or name in KernelSpecManager().find_kernel_specs()
        if not known:
            out.say("no kernel %s here, which the notebook names: it runs by %s" % (name, sys.executable))
        run.native = wish["own"] or name == "python3" or not known
    return "python3" if run.native else name, language


def value(text):
    """As papermill -p reads it."""
    for known in (True, False, None):
        if text == str(known):
            return known
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


def execute(wish, source, result):
    nb = nbformat.reads(beside.read(source), as_version=4)
    name, language = kernel(nb, wish)
    papermill.execute_notebook(
        source.replace("{", "{{").replace("}", "}}"), result.replace("{", "{{").replace("}", "}}"),
        parameters={k: value(v) for k, v in (wish["parameters"] or {}).items()}, engine_name="nbremote",
        kernel_name=name, language=language, progress_bar=False, autosave_cell_every=EVERY)


def main(wish):
    source = os.path.abspath(wish["path"])
    result = target(wish, source)
    name = os.path.basename(result)
    os.chdir(os.path.dirname(source))
    try:
        execute(wish, source, result)
        text = "every cell ran: " + name
    except PapermillExecutionError as e:
        text = "cell [%s] failed: %s: %s; it and those before it are in %s" % (e.exec_count, e.ename, e.evalue, name)
    except Exception as e:
        if not run.man:
            out.say("run %s: %s" % (os.path.basename(source), e))
            return 1
        text = ("stopped in cell [%s]" if run.stopped else "cell [%%s]: %s" % str(e).replace("%", "%%")) % run.count
        run.mark(text, result)
        text += "; what ran so far is in " + name
    else:
        out.say(text)
        return 1 if beside.trouble else 0
    if not beside.trouble:
        out.say(text)
    else:
        out.say("%s, but without what came last: %s" % (text, beside.trouble.strerror))
    return 1


wish = json.loads(sys.argv[1])
wish["path"] = os.path.expanduser(wish["path"])
out, run = Output(), Run()
beside = Beside(os.stat(wish["path"]).st_mode & 0o777)
papermill_io.register("/", beside)
papermill_engines.register("nbremote", Ours)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
    signal.signal(number, run.stop)
with tempfile.TemporaryDirectory(prefix="nbr-nb.") as private:
    code = main(wish)
signal.setitimer(signal.ITIMER_REAL, 0)
if run.stopped:
    die()
sys.exit(code)
