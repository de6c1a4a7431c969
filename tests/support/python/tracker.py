"""Makes a Roundup tracker of the classic kind in a folder and serves it, REST API included.

Usage: tracker.py FOLDER PORT

Roundup's own server refuses to run as root, as it would in a container. The administrator is `admin` with the
password `admin`.
"""

import subprocess
import sys
from pathlib import Path

import waitress
from roundup.cgi.wsgi_handler import RequestDispatcher

folder, port = Path(sys.argv[1]), sys.argv[2]
admin = [str(Path(sys.executable).with_name("roundup-admin")), "-i", str(folder)]
subprocess.run([*admin, "install", "classic", "anydbm"], check=True, stdout=subprocess.DEVNULL)

config = folder / "config.ini"
text = config.read_text()
for name, value in [
    ("web", f"http://127.0.0.1:{port}/"),
    ("domain", "example.com"),
    # The tests are quicker than it allows.
    ("api_calls_per_interval", "0"),
]:
    text = "\n".join(
        f"{name} = {value}" if line.removeprefix("#").startswith(f"{name} = ") else line for line in text.split("\n")
    )
config.write_text(text)
subprocess.run([*admin, "initialise", "admin"], check=True, stdout=subprocess.DEVNULL)

waitress.serve(RequestDispatcher(str(folder)), host="127.0.0.1", port=int(port), threads=4, _quiet=True)
