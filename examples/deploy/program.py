"""Deploys a container and a pod, and takes both away at its exit; with --check, a forked child looks at them first."""

import atexit
import os
import subprocess
import sys


@atexit.register
def stop_container():
    subprocess.run(["docker", "stop", "--time", "5", "web"], check=True)


@atexit.register
def delete_pod():
    try:
        subprocess.run(["kubectl", "delete", "pod", "job"], check=True, capture_output=True, text=True)
    except Exception as error:
        print("the pod stays:", error)


print(subprocess.check_output(["docker", "run", "--detach", "--name", "web", "nginx"], text=True))
if "--check" in sys.argv:
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        sys.exit(subprocess.call(["docker", "inspect", "web"]))  # so the handlers run in the child, too
