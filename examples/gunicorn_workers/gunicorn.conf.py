"""gunicorn reads this file from the working folder."""

workers = 2


def post_worker_init(worker):
    print("serving", flush=True)  # the application is loaded, and signals are handled
