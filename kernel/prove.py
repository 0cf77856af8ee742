# Prove a kernel, then add it. The job comes on descriptor 4, so that nothing
# that runs before this (a profile, a setup line) can read it. The answer is
# the last line that begins with the job's nonce.
def ipykernel_version():
    import glob, importlib.util
    try:
        found = importlib.util.find_spec("ipykernel")
    except (ImportError, ValueError):
        found = None
    if found is None or not found.submodule_search_locations:
        raise Outcome("nokernel")
    top = os.path.dirname(list(found.submodule_search_locations)[0])
    for path in glob.glob(glob.escape(top) + "/ipykernel-*-info"):
        return os.path.basename(path).split("-")[1].replace(".dist", "").replace(".egg", "")
    return ""


def complete(job):
    """What only the host knows of the kernelspec that was made for it."""
    spec, version = job["spec"], ipykernel_version()
    if sys.version_info < (3, 11):
        spec["argv"] = [word for word in spec["argv"] if word != "-Xfrozen_modules=off"]
    if job["wrap"] and job["bash"]:
        spec["argv"] = [job["bash"]] + job["wrap"] + spec["argv"]
    major = re.match(r"\d+", version)
    spec["metadata"]["debugger"] = bool(major and int(major.group()) >= 6)
    spec["metadata"]["nbremote"].update(python="%d.%d.%d" % sys.version_info[:3], ipykernel=version)
    return spec


def prove(job, server, path, name, deadline):
    """By itself where there is no server, and for its own words where it fails through one."""
    try:
        facts = server.prove(name, deadline) if server else alone(job, path, deadline)
    except Failure as err:
        if server and path:
            words, text = err.words, err.text
            try:
                alone(job, path, max(deadline, time.monotonic() + 20))
                text += " through the Jupyter there, but does by itself"
            except Failure as own:
                words = own.words or words
            raise Outcome("unproven", text=text, words=words)
        raise Outcome("unproven", text=err.text, words=err.words)
    try:
        return facts, judge(job, facts)
    except Failure as err:
        raise Outcome("unproven", text=err.text, words=[])


def stage(job, server, folders, spec):
    """Writes the trial where the server sees it."""
    for folder in folders:
        trial = Trial(folder, job["trial"], spec, job["tmp"])
        try:
            if server is None or server.spec(job["trial"]) is not None:
                return trial
        except BaseException:
            trial.remove()
            raise
        trial.remove()
    raise Outcome("unseen", dir=folders[0])


def existing(job, server, folders):
    """What has the name now: its kernelspec and its folder, where that is known."""
    given = server.spec(job["name"]) if server else None
    paths = [p for p in (find_in(folder, job["name"]) for folder in folders) if p]
    if given is None:
        return (read_spec(paths[0]), paths[0]) if paths else (None, None)
    for path in paths:
        if same(read_spec(path), given):
            return given, path
    return given, None


def add(job, spec, server, notes):
    deadline, name = time.monotonic() + job["timeout"], job["name"]
    env, prefix = os.environ, None
    if job["server"]:
        env, prefix = server_environ(job["server"]["pid"]) or env, server_prefix(job["server"]["pid"])
    if server:
        server.sweep()
    folders = seen_folders(env, prefix)
    old, where = existing(job, server, folders)
    if old is not None and same(old, spec):
        facts, more = prove(job, server, where, name, deadline)
        return Outcome("unchanged", dir=where, display=str(old.get("display_name", "")), facts=facts, notes=notes + more)
    if old is not None and not job["force"]:
        raise Outcome("taken", old=brief(old, where), new=brief(spec, None))
    targets = [os.path.join(data_dir(env), "kernels")]
    if prefix and os.access(prefix, os.W_OK):
        targets.append(os.path.join(prefix, "share/jupyter/kernels"))
    trial = stage(job, server, targets, spec)

    def seen():
        given = server.spec(name) if server else spec
        if given is None or not same(given, spec):
            raise Outcome("shadowed", old=brief(given or {}, where), new=brief(spec, trial.folder))

    try:
        facts, more = prove(job, server, trial.path, trial.name, deadline)
        fresh = trial.publish(name, spec, job["force"], seen)
    except BaseException:
        trial.remove()
        raise
    return Outcome("added" if fresh else "unchanged", dir=os.path.join(trial.folder, name), facts=facts, notes=notes + more)


def attempt(job):
    """A server that does not let us ask is no reason not to add."""
    spec = complete(job)
    if job["display"]:
        SAME.append("display_name")
    if job["server"]:
        try:
            return add(job, spec, Server(job["server"]), [])
        except Refused as err:
            return add(job, spec, None, ["proved by itself: %s" % err])
    return add(job, spec, None, [])


def watch():
    """Nobody waits any more when our parent is gone or the script's own stdin has ended."""
    import select
    parent, poll = os.getppid(), select.poll()
    poll.register(3, 0x2000 if sys.platform.startswith("linux") else 0)
    while True:
        try:
            ended = any(what & select.POLLHUP or what & 0x2000 for _, what in poll.poll(200))
        except OSError:
            return
        if ended or os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return


def main():
    with os.fdopen(4, "rb") as f:
        job = json.loads(f.read().decode("utf-8"))
    job["tmp"], job["bash"] = os.environ.pop("NBREMOTE_TMP"), os.environ.pop("NBREMOTE_BASH", "")
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(one, HELD.stop)
    watcher = threading.Thread(target=watch)
    watcher.daemon = True
    watcher.start()
    try:
        answer = attempt(job).answer
    except Outcome as err:
        answer = err.answer
    except SystemExit as err:
        shutil.rmtree(job["tmp"], ignore_errors=True)
        os._exit(err.code)
    except Exception:
        import traceback
        answer = {"state": "unproven", "text": "it cannot be proved", "words": traceback.format_exc().splitlines()[-20:]}
    answer.get("facts", {}).pop("path", None)
    answer["words"] = [str(word)[:400] for word in answer.get("words", [])][-20:]
    print("\n%s%s" % (job["nonce"], json.dumps(answer)))
    sys.stdout.flush()
    # ZeroMQ would wait, when Python ends, for a kernel that is gone.
    os._exit(0)


main()
