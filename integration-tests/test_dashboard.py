"""The dashboard in a real browser, against a real graylingd and a real etcd; and its doors from the outside."""
import gzip
import hashlib
import http.client
import json
import re
import shlex
import signal
import subprocess

import pytest

import dashboard_browser
from harness import BUILD, MODULES, PATIENCE, SOURCE, Traffic

PAY = [MODULES / f"pay-1.{n}.0.so" for n in range(2)]
CHARGE = "com.example.pay.PayService/Charge"
ANALYSIS = {"error_rate": {"max_increase": 0.05}, "latency_p99": {"max_ratio": 50}, "min_requests": 20}
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def chromium():
    why = dashboard_browser.missing()
    if why:
        pytest.skip(why)
    b = dashboard_browser.Browser()
    yield b
    b.quit()


@pytest.fixture
def browser(chromium):
    yield chromium
    if chromium.is_open:
        chromium.is_open = False
        chromium.do("close")


def roll_out(g, so=PAY[1], **more):
    """It stands at a weight until somebody promotes it."""
    steps = [{"weight": 50}, {"pause": {}}, {"weight": 100}]
    g.want({"pay": g.document(so, strategy={"steps": steps, "bake": "300ms", "analysis": ANALYSIS}, **more)})
    g.wait_event(lambda e: e["module"] == "pay" and e["phase"] == "Paused")


def assert_axe(b):
    assert b.do("axe") == []


def test_the_list_follows_a_rollout_without_a_reload(grayling, browser):
    g, b = grayling, browser
    b.open(g)
    b.text("main", "No module yet")
    g.deploy("pay", PAY[0])
    b.text(".card", "Healthy")
    b.text(".weight", "100 % to 1.0.0")
    b.do("eval", js="window.stays = true")
    assert_axe(b)
    with Traffic(g, CHARGE, clients=2):
        roll_out(g)
        b.text(".card .phase", "Paused: step 2 of 3")
        b.text(".weight", "50 % to 1.1.0, observed")
        b.text(".strip", "1.1.0 candidate")
        b.text(".squares:has(.good)")
        g.until(lambda: (g.module("pay")["verdict"] or {}).get("verdict") == "Successful")
        r = g.module("pay")["rollout"]
        assert g.control("/v1/modules/pay/promote", "POST", {"rollout": r["id"], "step": r["step"]})[0] == 200
        g.wait_phase("pay", "Healthy")
    b.text(".card .phase", "Healthy")
    b.text(".weight", "100 % to 1.1.0")
    assert b.do("eval", js="window.stays") is True
    g.want({"pay": None})
    b.text("main", "No module yet")
    b.close()


def test_a_module_with_all_that_is_known_of_it(grayling, browser):
    g, b = grayling, browser
    g.deploy("pay", PAY[0])
    b.open(g, dark=True)
    with Traffic(g, CHARGE, clients=2):
        roll_out(g, actor="alice", reason=EVIL)
        b.do("click", at=".card a")
        b.text("h1", "pay")
        b.text(".ladder .now[aria-current=step]", "pause until promote")
        b.text(".ladder .done", "weight 50 %")
        b.text(".facts", f"alice: {EVIL}")
        b.text(".chart:has(canvas)", "Error share")
        b.text(".chart:has(canvas)", "p99 latency")
        b.text(".decision", "candidate 0.00 %, stable 0.00 %; difference")
        b.text(".card", "com.example.pay.PayService 1.1.0 (Charge, Refund)")
        b.text(".card", f"file://{g.incoming}/pay-1.1.0.so")
        b.text(".card", g.module("pay")["candidate"]["hash"])
        assert_axe(b)
        b.do("open", url=f"http://127.0.0.1:{g.admin}/#/modules/pay", width=360, height=740)
        b.text(".chart canvas")
        b.text(".events", "pay 1.1.0")
        assert b.do("eval", js="document.documentElement.scrollWidth") == 360
        assert_axe(b)
        g.until(lambda: (g.module("pay")["verdict"] or {}).get("verdict") == "Successful")
        line = b.do("eval", js="[...document.querySelectorAll('.commands code')].map(c => c.textContent).find(t => t.includes('--full'))")
        assert line.startswith("grayctl promote pay --full --rollout ")
        r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *shlex.split(line)[1:]], capture_output=True, text=True)
        assert r.returncode == 0, r
        g.wait_phase("pay", "Healthy")
    b.text("#main .phase", "Healthy")
    b.text("#history ~ .events", "1.0.0 → 1.1.0 Healthy")
    fetched = "performance.getEntriesByType('resource').filter(r => r.name.endsWith('/verdicts')).length"
    assert b.do("eval", js=fetched) == 1, "looks of before are in the charts once, whatever the phases"
    b.close()


def focus(b):
    return b.do("eval", js="`${document.activeElement.tagName} ${document.activeElement.textContent}`")


def test_everything_by_keyboard(grayling, browser):
    g, b = grayling, browser
    g.deploy("pay", PAY[0])
    b.open(g)
    b.text(".card", "Healthy")
    b.press("Tab")
    assert focus(b) == "A Skip to the content"
    b.press("Enter", "Tab")
    assert focus(b) == "A pay"
    b.press("Enter")
    b.text("h1", "pay")
    assert focus(b) == "H1 pay"
    b.press("Tab")
    assert focus(b) == "BUTTON Copy"
    b.press("Enter")
    b.text("[role=status]", "Cop")
    b.press("Escape")
    b.text("h1", "Modules")
    assert focus(b) == "H1 Modules"
    b.close()


TOKEN = "only-for-the-tests-0123"


def with_token(make, root, etcd=None):
    (root / "token").write_text(TOKEN + "\n")
    (root / "token").chmod(0o600)
    return make(etcd, sets=[f"Admin.TokenFile={root}/token"]).start()


def sign_in(b, token):
    b.do("fill", at="dialog input[name=name]", text="dora")
    b.do("fill", at="dialog input[name=token]", text=token)
    b.do("click", at="dialog .go")


def test_orders_from_the_page(make, root, etcd, browser):
    g, b = with_token(make, root, etcd), browser
    g.deploy("pay", PAY[0])
    b.open(g, "/#/modules/pay", quiet="status of 4")
    b.text(".commands", "grayctl undo pay")
    assert b.do("eval", js="[...document.querySelectorAll('.give')].every(e => e.hidden)")
    b.do("click", at="#session button")
    assert_axe(b)
    sign_in(b, TOKEN + "4")
    b.text("dialog .wrong", "without the right token")
    sign_in(b, TOKEN)
    b.text("#session", "Sign out dora")
    with Traffic(g, CHARGE, clients=2):
        roll_out(g)
        b.text("#main .phase", "Paused")  # an order names what the page shows
        b.do("click", at=".give:text-is('Pause')")
        b.do("fill", at="dialog input[name=confirm]", text="pay")
        seen = g.module("pay")["rollout"]
        assert g.control("/v1/modules/pay/promote", "POST", {"rollout": seen["id"], "step": seen["step"], "actor": "bob", "full": True})[0] == 200
        g.wait_event(lambda e: e["phase"] == "Healthy")
        b.do("click", at="dialog .go")
        b.text("dialog .wrong", "Healthy")  # what was seen is over, and it says so
        b.press("Escape")
        roll_out(g, MODULES / "pay-1.4.0.so")
        b.text("#main .phase", "Paused")
        b.do("click", at=".give:text-is('Abort')")
        b.do("fill", at="dialog input[name=confirm]", text="auth")
        assert b.do("eval", js="document.querySelector('dialog .go').disabled")
        b.do("fill", at="dialog input[name=confirm]", text="pay")
        b.do("fill", at="dialog input[name=reason]", text="refunds fail")
        assert_axe(b)
        b.do("click", at="dialog .go")
        g.wait_phase("pay", "RolledBack")
        b.text(".told", "grayctl undo pay makes this last")
    b.text("#main .phase", "Degraded")
    b.text(".events", "dora")
    assert any("dora ordered abort" in e["message"] and "refunds fail" in e["message"] for e in g.events())
    b.do("click", at="#session button")
    assert b.do("eval", js="sessionStorage.length + document.querySelectorAll('.give:not([hidden])').length") == 0
    b.close()
    assert TOKEN not in g.log() + json.dumps(g.status()) + json.dumps(g.events())


def test_undo_from_the_page(make, root, etcd, browser):
    """One press for the version before, one for each that was in force; nothing but this host goes back."""
    g, b = with_token(make, root, etcd), browser
    for build in (PAY[0], PAY[1]):
        g.deploy("pay", build)
    b.open(g, "/#/modules/pay")
    b.do("click", at="#session button")
    sign_in(b, TOKEN)
    b.text(".commands", "grayctl undo pay --to 1.0.0")
    for press, version, phase in (("Undo", "1.0.0", "Degraded"), ("Undo to 1.1.0", "1.1.0", "Healthy")):
        b.do("click", at=f".give:text-is('{press}')")
        b.do("fill", at="dialog input[name=confirm]", text="pay")
        b.do("click", at="dialog .go")
        b.text(".facts", version)
        g.until(lambda v=version: g.call(CHARGE)[1]["x-grayling-version"] == v)
        b.text("#main .phase", phase)
    assert_axe(b)
    b.close()


def tab_to(b, has):
    """Forward with Tab until what has the focus says so; every stop on the way is one that a person passes too."""
    stops = []
    while not (stops and has in stops[-1]):
        assert len(stops) < 60, stops
        b.press("Tab")
        stops.append(focus(b))
    return stops


def test_undo_by_keyboard_alone(make, root, etcd, browser):
    """At 360 px: sign in, look at the question and leave it, go back to a version; the focus is never lost."""
    g, b = with_token(make, root, etcd), browser
    for build in (PAY[0], PAY[1]):
        g.deploy("pay", build)
    b.open(g, "/#/modules/pay", width=360, height=740)
    b.text(".commands", "grayctl undo pay --to 1.0.0")
    tab_to(b, "BUTTON Sign in")
    b.press("Enter", *"dora", "Tab", *TOKEN, "Enter")
    b.text("#session", "Sign out dora")
    assert focus(b) == "BUTTON Sign out dora"
    width = "Math.max(document.documentElement.scrollWidth, ...[...document.querySelectorAll('dialog, .commands button')].map(e => Math.ceil(e.getBoundingClientRect().right)))"
    for press in ("Undo", "Undo to 1.0.0"):
        stops = tab_to(b, f"BUTTON {press}")
        assert stops[-1] == f"BUTTON {press}", stops
        assert b.do("eval", js="getComputedStyle(document.activeElement).outlineStyle") != "none", "one sees where one is"
        b.press("Enter")
        b.text("dialog[open] h2", f"pay: {press}?")
        assert b.do("eval", js="document.activeElement.name") == "confirm"
        assert b.do("eval", js=width) <= 360
        assert_axe(b)
        b.press(*"auth", "Enter")
        assert b.do("eval", js="document.querySelector('dialog .go').disabled"), "Enter orders nothing before the name stands there"
        b.press("Escape")
        b.do("gone", at="dialog")
        assert focus(b) == f"BUTTON {press}"
        b.text("h1", "pay")  # Escape closed the question and not the module
    b.press("Enter", *"pay", "Tab", *"old", "Enter")
    b.do("gone", at="dialog")
    g.until(lambda: g.call(CHARGE)[1]["x-grayling-version"] == "1.0.0")
    b.text("#main .phase", "Degraded")
    b.text(".told", "makes this last")
    assert focus(b).split()[0] in ("BUTTON", "H2"), "the focus stays with the commands"
    assert "dora" in json.dumps(g.events())
    assert b.do("eval", js=width) <= 360
    assert_axe(b)
    b.close()


def post(g, path, body="{}", **headers):
    c = http.client.HTTPConnection("127.0.0.1", g.admin, timeout=PATIENCE)
    c.request("POST", path, body, {"Content-Type": "application/json", **headers})
    r = c.getresponse()
    return r.status, json.loads(r.read()), r.headers


def test_who_may_give_orders(make, root):
    g, right = with_token(make, root), {"Authorization": f"Bearer {TOKEN}"}
    assert post(g, "/v1/token", **right)[0] == 200
    status, said, headers = post(g, "/v1/token")
    assert (status, headers["www-authenticate"]) == (401, "Bearer") and "TokenFile" in said["message"]
    assert post(g, "/v1/token", Authorization=f"Bearer {TOKEN[:-1]}")[0] == 401
    assert post(g, "/v1/token", **right, Origin="http://evil.example")[0] == 403
    assert post(g, "/v1/token", **right, **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert post(g, "/v1/token", **right, **{"Content-Type": "text/plain"})[0] == 400
    assert post(g, "/v1/token", **right, Origin=f"http://127.0.0.1:{g.admin}")[0] == 200
    g.deploy("pay", PAY[0])
    assert post(g, "/v1/modules/pay/undo", '{"rollout": 1}', **right)[1]["message"].startswith("undo names rollout 1 of pay; expected ")
    assert post(g, "/v1/worker/replace", **right)[0] == 404, "what is of the host as a whole stays with the control socket"
    assert g.log().count("without the right token") == 1
    r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "dashboard"], capture_output=True, text=True)
    assert f"http://127.0.0.1:{g.admin}/" in r.stdout
    by_name = make(sets=["Admin.TokenFile=token"], env={"CREDENTIALS_DIRECTORY": str(root)}).start()
    assert post(by_name, "/v1/token", **right)[0] == 200
    nobody = make().start()
    status, said, _ = post(nobody, "/v1/token", **right)
    assert status == 403 and "no [Admin] TokenFile" in said["message"]
    nowhere = make(sets=["Admin.Listen="]).start()
    r = subprocess.run([BUILD / "grayctl", "--control", nowhere.run / "control.sock", "dashboard"], capture_output=True, text=True)
    assert r.returncode == 3 and "[Admin] Listen" in r.stderr
    (root / "token").write_text("short")
    with pytest.raises(AssertionError, match="does not hold a token"):
        make(sets=[f"Admin.TokenFile={root}/token"]).start()


def test_another_token_without_a_restart(make, root, browser):
    g, b = with_token(make, root), browser
    g.deploy("pay", PAY[0])
    b.open(g, "/#/modules/pay", quiet="status of 401")
    b.do("click", at="#session button")
    sign_in(b, TOKEN)
    b.text("#session", "Sign out dora")
    other = {"Authorization": "Bearer another-one-for-the-tests"}

    def reload(said, text):
        (root / "token").write_text(text)
        before = g.log().count(said)
        g.process.send_signal(signal.SIGHUP)
        g.until(lambda: g.log().count(said) > before)

    for bad in ("short", "two lines of it\nare no token\n", ""):
        reload("the token for orders was not reloaded, the old one stays in force", bad)
        assert post(g, "/v1/token", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert "does not hold a token; expected one line" in g.log()
    with get(g, "/v1/stream", Authorization=f"Bearer {TOKEN}") as stream:
        tellings = told(stream)
        next(tellings)
        reload("the one before is refused now", "another-one-for-the-tests\n")
        assert post(g, "/v1/token", Authorization=f"Bearer {TOKEN}")[0] == 401
        assert post(g, "/v1/token", **other)[0] == 200
        g.want({"pay": None})
        assert any(name == "host" and data["modules"] == [] for _, name, data in tellings), "it reads as anybody may"
    g.deploy("pay", PAY[0])
    b.text("#main .phase", "Healthy")
    b.do("click", at=".give:text-is('Undo')")
    b.do("fill", at="dialog input[name=confirm]", text="pay")
    b.do("click", at="dialog .go")
    b.text("dialog .wrong", "The token of this host was changed")
    b.press("Escape")
    b.text("#session", "Sign in")
    b.close()
    assert g.log().count("was reloaded; the one before") == 1 and "another-one" not in g.log() and TOKEN not in g.log()


def get(g, path, **headers):
    c = http.client.HTTPConnection("127.0.0.1", g.admin, timeout=PATIENCE)
    c.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        c.putheader(name.replace("_", "-"), value)
    c.endheaders()
    return c.getresponse()


def told(stream):
    """Server-sent events as (id, name, data)."""
    one = {}
    for line in stream:
        line = line.decode().rstrip("\n")
        if line.partition(": ")[0] in ("id", "event", "data"):
            name, _, value = line.partition(": ")
            one[name] = value
        elif not line and one.get("data"):
            yield int(one.get("id", 0)), one["event"], json.loads(one["data"])
            one = {}


def test_the_stream_goes_on_where_it_was_left(make):
    g = make().start()
    g.deploy("pay", PAY[0])
    seen = []
    with get(g, "/v1/stream") as stream:
        assert stream.headers["content-type"] == "text/event-stream" and stream.headers["cache-control"] == "no-store"
        for id, name, data in told(stream):
            seen += [(id, data)] if name == "event" else []
            if name == "module":
                break
    assert data["module"] == "pay" and data["stable"]["contract"]["provides"][0]["name"] == "com.example.pay.PayService"
    assert [d["message"] for _, d in seen] == [e["message"] for e in g.events()]
    with get(g, "/v1/stream", Last_Event_ID=str(seen[2][0])) as again:
        assert next(told(again))[0] == seen[3][0]
        g.want({"pay": None})
        for _, name, data in told(again):
            if name == "host" and data["modules"] == []:
                break
    streams = [get(g, "/v1/stream") for _ in range(16)]
    assert [s.status for s in streams].count(200) >= 15, "one of those before may not be known to be closed yet"
    full = get(g, "/v1/stream")
    assert full.status == 503 and "watch this host already" in json.load(full)["message"]
    for s in streams:
        s.close()
    assert g.stop() == 0


def test_a_foreign_name_is_not_answered(make):
    g = make(sets=["Admin.AllowHosts=grayling.example"]).start()
    for path in ("/", "/dashboard/main.js", "/v1/status", "/v1/stream"):
        r = get(g, path, Host="evil.example")
        assert r.status == 403 and "AllowHosts" in json.load(r)["message"]
    assert get(g, "/metrics", Host="web-07.example:9464").status == 200
    page = get(g, "/", Host="Grayling.example:9464")
    assert page.status == 200 and page.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in page.headers["content-security-policy"]
    files = re.findall(r'"(/dashboard/[^"]+)"', page.read().decode())
    assert len(files) > 3 and all(get(g, f).status == 200 for f in files)
    assert get(g, "/dashboard/secret").status == 404


def curl(g, path, *more):
    """What curl was answered: status, fields by small names, the body's bytes as they came."""
    r = subprocess.run(["curl", "-sS", "-i", "--max-time", str(PATIENCE), *more, f"http://127.0.0.1:{g.admin}{path}"], capture_output=True, check=True)
    head, _, body = r.stdout.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return int(status.split()[1]), {k.lower(): v for k, v in (f.split(": ", 1) for f in fields)}, body


def test_what_a_client_has_is_not_sent_again(make):
    g, gzip_please = make().start(), ("-H", "Accept-Encoding: br, gzip;q=0.5")
    tags = set()
    for path, file in (("/", "index.html"), ("/dashboard/uPlot.iife.min.js", "vendor/uPlot.iife.min.js"), ("/dashboard/style.css", "style.css")):
        text = (SOURCE / "supervisor/dashboard" / file).read_bytes()
        status, plain, body = curl(g, path)
        assert (status, body, plain["etag"]) == (200, text, f'"{hashlib.sha256(text).hexdigest()}"') and "content-encoding" not in plain
        status, packed, body = curl(g, path, *gzip_please)
        assert (status, packed["content-encoding"], gzip.decompress(body)) == (200, "gzip", text)
        assert len(body) == int(packed["content-length"]) < len(text)
        assert packed["content-type"] == plain["content-type"] and packed["etag"] != plain["etag"]
        for seen in (plain, packed):
            assert (seen["cache-control"], seen["vary"]) == ("no-cache", "Accept-Encoding")
            tags.add(seen["etag"])
        for more in (("-H", "Accept-Encoding: gzip;q=0"), ("-H", "Accept-Encoding: gzip;q=0, *")):
            assert curl(g, path, *more)[2] == text
        for tag, more in ((plain["etag"], ()), ("W/" + plain["etag"], ()), ("*", ()), (f'"x", {packed["etag"]}', gzip_please)):
            status, fields, body = curl(g, path, "-H", f"If-None-Match: {tag}", *more)
            assert (status, body, fields["etag"]) == (304, b"", (packed if more else plain)["etag"])
            assert (fields["cache-control"], fields["vary"]) == ("no-cache", "Accept-Encoding") and "default-src" in fields["content-security-policy"]
        assert curl(g, path, "-H", f"If-None-Match: {packed['etag']}")[0] == 200, "of other bytes than the client may be given"
    assert len(tags) == 6
    for path in ("/v1/status", "/v1/modules", "/metrics", "/-/healthy", "/dashboard/secret"):
        status, fields, body = curl(g, path, "-H", "If-None-Match: *", *gzip_please)
        assert fields["cache-control"] == "no-store" and not {"etag", "content-encoding"} & set(fields) and body


def test_a_browser_asks_and_does_not_fetch_again(make, browser):
    g, b = make().start(), browser
    b.open(g)
    b.text("main", "No module yet")
    files = "performance.getEntriesByType('resource').filter(r => r.name.includes('/dashboard/'))"
    assert b.do("eval", js=f"{files}.every(r => r.encodedBodySize && r.encodedBodySize < r.decodedBodySize)"), "each came compressed"
    n = b.do("eval", js=f"{files}.length")
    b.do("eval", js="location.reload()")
    b.text("main", "No module yet")
    assert b.do("eval", js=f"{files}.length") == n
    came = "[...performance.getEntriesByType('navigation'), ..." + files + "].map(r => r.transferSize)"
    assert set(b.do("eval", js=came)) == {300}, "an answer without a body, as Chromium counts it; one out of its memory would be 0"
    b.close()


def test_what_is_vendored_is_what_npm_has(chromium, tmp_path):
    vendor = SOURCE / "supervisor/dashboard/vendor"
    r = subprocess.run([vendor / "update", tmp_path], capture_output=True, text=True)
    if r.returncode:
        pytest.skip(f"npm is not reachable: {r.stderr[-200:]}")
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == {f: (vendor / f).read_bytes() for f in (
        "uPlot.iife.min.js", "uPlot.min.css", "uPlot-LICENSE.txt")}
