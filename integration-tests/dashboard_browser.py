"""A headless Chromium for tests of the dashboard, driven through dashboard/browser.mjs."""
import json
import pathlib
import shutil
import subprocess

from harness import BUILD, PATIENCE, SOURCE

HERE = SOURCE / "integration-tests/dashboard"
MODULES = BUILD / "dashboard-npm"


def missing():
    """Why no browser can be driven here; None when one can. Installs what the lock file names into the build directory."""
    for program in ("chromium", "node", "npm"):
        if not shutil.which(program):
            return f"{program} is not installed"
    lock = HERE / "package-lock.json"
    done = MODULES / "installed.json"
    if done.exists() and done.read_bytes() == lock.read_bytes():
        return None
    MODULES.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HERE / name, MODULES / name)
    try:
        r = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=30000"], cwd=MODULES,
                           capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        return "npm did not answer within three minutes"
    if r.returncode:
        return f"npm ci failed: {r.stderr[-300:]}"
    shutil.copyfile(lock, done)
    return None


class Browser:
    def __init__(self):
        self.process = subprocess.Popen(["node", HERE / "browser.mjs", MODULES, shutil.which("chromium"), str(int(PATIENCE * 1000))],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        self.is_open = False

    def do(self, what, **more):
        self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"failed": "the browser ended"}')
        assert "failed" not in answer, answer["failed"]
        self.is_open = self.is_open or what == "open"
        return answer["ok"]

    def open(self, g, path="/", **more):
        self.do("open", url=f"http://127.0.0.1:{g.admin}{path}", **more)

    def text(self, at, has=""):
        self.do("text", at=at, has=has)

    def press(self, *keys):
        for key in keys:
            self.do("press", key=key)

    def close(self):
        """Ends the page; nothing went wrong on it, and it spoke to nobody else."""
        self.is_open = False
        wrong = self.do("close")
        assert wrong == [], wrong

    def quit(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
