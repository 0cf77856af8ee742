# The kernel by itself, as a Jupyter of the same environment starts it.
try:
    from queue import Empty
except ImportError:
    Empty = None


def tail(f):
    f.seek(0, 2)
    f.seek(max(0, f.tell() - 16384))
    lines = [line.rstrip()[:400] for line in f.read().decode("utf-8", "replace").splitlines()]
    return [line for line in lines if line and "WARNING | Kernel is running over TCP" not in line][-20:]


def alone(job, path, deadline):
    """Starts the kernelspec in path and asks it; it has ended when this returns."""
    import logging
    logging.disable(logging.CRITICAL)
    try:
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import KernelManager
    except ImportError as err:
        raise Failure("it does not start", ["%s: %s" % (type(err).__name__, err)])
    specs = KernelSpecManager(kernel_dirs=[os.path.dirname(path)], ensure_native_kernel=False)
    kernel = KernelManager(kernel_name=os.path.basename(path), kernel_spec_manager=specs)
    kernel.connection_file = os.path.join(job["tmp"], "kernel.json")
    began, clients = time.monotonic(), []
    with open(os.path.join(job["tmp"], "words"), "w+b", 0) as words:
        try:
            with HELD:
                kernel.start_kernel(stdout=words, stderr=words)
            facts = question(talk(kernel, words, clients), deadline)
            facts["took"] = time.monotonic() - began
            return facts
        except OSError as err:
            raise Failure("it does not start", tail(words) + [str(err)])
        except Late:
            raise Failure("it gives no answer in time", tail(words))
        finally:
            with HELD:
                if kernel.has_kernel:
                    kernel.shutdown_kernel(now=True)
                for client in clients:
                    client.stop_channels()


def talk(kernel, words, clients):
    client = kernel.client()
    clients.append(client)
    client.start_channels(iopub=False, stdin=False, hb=False)

    def ask(code, expressions, until):
        sent = client.execute(code, silent=True, user_expressions=expressions)
        while True:
            try:
                reply = client.get_shell_msg(timeout=0.2)
                if reply["parent_header"].get("msg_id") == sent:
                    return reply["content"]
            except Empty:
                pass
            if not kernel.is_alive():
                raise Failure("it does not start", tail(words))
            if time.monotonic() > until:
                raise Late()

    return ask
