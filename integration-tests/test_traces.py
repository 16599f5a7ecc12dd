"""W3C trace context through the front door, modules and back, and spans at a collector: of requests as they are sampled, of rollouts step by
step; a collector that is away, slow or unwilling costs no request anything."""
import collections
import http.server
import json
import re
import threading

import pytest

from harness import MODULES, PATIENCE, Traffic, free_port

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


class Collector:
    """Takes OTLP/HTTP with JSON. `statuses` are answered first, one a request; then 200."""

    def __init__(self, port=0, statuses=()):
        self.spans, self.asked, self.statuses, self.arrived = [], 0, collections.deque(statuses), threading.Condition()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status = collector.take(self.path, self.headers["content-type"], body)
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def take(self, path, kind, body):
        with self.arrived:
            self.asked += 1
            assert (path, kind) == ("/v1/traces", "application/json")
            status = self.statuses.popleft() if self.statuses else 200
            for whose in json.loads(body)["resourceSpans"] if status == 200 else ():
                resource = attributes(whose["resource"])
                assert resource == {"service.name": "order", "service.instance.id": "host-1"}
                for by in whose["scopeSpans"]:
                    self.spans += by["spans"]
            self.arrived.notify_all()
            return status

    def until(self, holds, told=lambda: ""):
        with self.arrived:
            assert self.arrived.wait_for(lambda: holds(self.spans), PATIENCE), f"{told()}\n{self.asked} requests, {len(self.spans)} spans: {self.spans[-3:]}"
            return list(self.spans)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def attributes(o):
    return {a["key"]: next(iter(a["value"].values())) for a in o["attributes"]}


def count(g, result):
    return int(re.search(rf'^grayling_spans_total{{result="{result}"}} (\d+)$', g.metrics(), re.M)[1])


def test_without_a_collector_the_context_goes_through(grayling):
    g = grayling
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    for sent, returned in ((SAMPLED, SAMPLED), (UNSAMPLED, UNSAMPLED), (f"cc-{TRACE}-{SPAN}-01-more", SAMPLED), (f"ff-{TRACE}-{SPAN}-01", None),
                           (f"00-{'0' * 32}-{SPAN}-01", None), (f"00-{TRACE}-{'0' * 16}-01", None), (SAMPLED.upper(), None), ("rubbish", None)):
        status, headers, _ = g.call(CHARGE, BODY, {"traceparent": sent, "tracestate": "a=1"})
        assert (status, headers.get("traceresponse")) == (200, returned), sent
    assert g.call("com.example.Nobody/Charge", BODY, {"traceparent": SAMPLED})[1]["traceresponse"] == SAMPLED
    assert "traceresponse" not in g.call(CHARGE, BODY)[1]
    assert count(g, "exported") == count(g, "lost") == 0


def test_spans_of_requests(make, etcd):
    with Collector() as c:
        g = make(etcd, sets=[f"Telemetry.Endpoint={c.url}", "Telemetry.SampleRatio=0"]).start()
        g.deploy("pay", MODULES / "pay-1.0.0.so")
        for _ in range(20):
            assert "traceresponse" not in g.call(CHARGE, BODY)[1]  # a trace of our own is drawn, never with ratio 0
        assert g.call(CHARGE, BODY, {"traceparent": UNSAMPLED})[1]["traceresponse"] == UNSAMPLED
        _, headers, _ = g.call(CHARGE, BODY, {"traceparent": SAMPLED, "x-request-id": "r-17"})
        parent, own = SPAN, headers["traceresponse"].split("-")[2]
        assert headers["traceresponse"] == f"00-{TRACE}-{own}-01" and own != parent
        assert g.call(CHARGE, b"{", {"traceparent": SAMPLED})[0] == 400
        assert g.call("com.example.Nobody/Charge", BODY, {"traceparent": SAMPLED})[0] == 404
        spans = [s for s in c.until(lambda spans: sum(s["kind"] == 2 for s in spans) == 3, g.log) if s["kind"] == 2]
        charge, bad, nobody = spans
        assert (charge["traceId"], charge["spanId"], charge["parentSpanId"]) == (TRACE, own, parent)
        assert charge["name"] == CHARGE and "status" not in charge
        assert int(charge["startTimeUnixNano"]) <= int(charge["endTimeUnixNano"])
        assert attributes(charge) == {"rpc.system": "connect_rpc", "rpc.service": CHARGE.split("/")[0], "rpc.method": "Charge",
                                      "grayling.request_id": "r-17", "grayling.module": "pay", "grayling.version": "1.0.0", "grayling.role": "stable"}
        assert attributes(bad)["rpc.connect_rpc.error_code"] == "invalid_argument" and "status" not in bad
        assert attributes(nobody)["rpc.connect_rpc.error_code"] == "unimplemented" and "grayling.module" not in attributes(nobody)


def test_traces_that_begin_here_and_a_worker_that_is_replaced(make, etcd):
    """Every request is sampled; what an old worker recorded arrives too when it drains."""
    with Collector() as c:
        g = make(etcd, sets=[f"Telemetry.Endpoint={c.url}", "Telemetry.SampleRatio=1"]).start()
        g.deploy("pay", MODULES / "pay-1.0.0.so")
        told = {g.call(CHARGE, BODY)[1]["traceresponse"] for _ in range(300)}
        assert g.control("/v1/worker/replace", "POST", {"reason": "drill"})[0] in (200, 202)
        spans = c.until(lambda spans: sum(s["kind"] == 2 for s in spans) == 300, g.log)
        assert {f"00-{s['traceId']}-{s['spanId']}-01" for s in spans if s["kind"] == 2} == told
        assert not any("parentSpanId" in s for s in spans if s["kind"] == 2)
        g.until(lambda: count(g, "exported") == len(c.spans))
        assert count(g, "lost") == 0


def test_a_rollout_step_by_step(make, etcd):
    with Collector() as c:
        g = make(etcd, sets=[f"Telemetry.Endpoint={c.url}", "Telemetry.SampleRatio=0"]).start()
        g.deploy("pay", MODULES / "pay-1.0.0.so")
        g.want({"pay": g.document(MODULES / "pay-1.1.0.so", strategy={"steps": [{"weight": 50}, {"pause": {"duration": "100ms"}}, {"pause": {}}, {"weight": 100}]})})
        g.wait_event(lambda e: e["module"] == "pay" and e["phase"] == "Paused" and "promote" in e["message"])
        assert g.control("/v1/modules/pay/abort", "POST", {"reason": "enough"})[0] in (200, 202)
        rollout = g.wait_phase("pay", "RolledBack")["rollout"]
        mine = [s for s in c.until(lambda spans: sum(s["name"] == "rollout of pay" for s in spans) == 2, g.log)
                if attributes(s).get("grayling.rollout") == str(rollout)]
        whole = mine[-1]
        assert whole["name"] == "rollout of pay" and attributes(whole)["grayling.reason"] == "OperatorAbort" and whole["status"]["code"] == 2
        assert {s["traceId"] for s in mine} == {whole["traceId"]} and {s["parentSpanId"] for s in mine[:-1]} == {whole["spanId"]}
        names = [s["name"] for s in mine[:-1]]
        assert names[:4] == ["Pending", "Fetching", "Verifying", "Staged"] and names[-1] == "RollingBack", names
        assert {"Progressing, step 1", "Paused, step 2", "Paused, step 3"} <= set(names), names
        times = [(int(s["startTimeUnixNano"]), int(s["endTimeUnixNano"])) for s in mine]
        assert all(a[1] <= b[0] for a, b in zip(times[:-2], times[1:-1])) and times[-1][0] <= times[0][0] and times[-2][1] <= times[-1][1]


def test_a_collector_that_is_away_or_unwilling(make, etcd):
    port = free_port()
    g = make(etcd, sets=[f"Telemetry.Endpoint=http://127.0.0.1:{port}/v1/traces", "Telemetry.SampleRatio=1"]).start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    with Traffic(g, CHARGE, BODY, clients=2) as t:
        g.until(lambda: "spans do not reach the collector" in g.log())
        t.assert_served("1.0.0")
        # it comes, is busy, takes what was kept; then it finds fault with one batch, which is given up
        with Collector(port, statuses=[503, 200, 400]) as c:
            c.until(lambda spans: len(spans) > 0 and c.asked >= 4, g.log)
            g.until(lambda: count(g, "lost") > 0 and count(g, "exported") > 0)
        t.assert_served("1.0.0")
    assert g.stop() == 0


@pytest.mark.parametrize("value", ["ftp://a/b", "http://", "http://u:p@host/", "http://host/?a=b", "host:4318"])
def test_what_is_no_endpoint(make, value):
    g = make()
    g.sets.append(f"Telemetry.Endpoint={value}")
    g.start(wait=False)
    assert g.process.wait(PATIENCE) == 2 and "Endpoint" in g.log()
