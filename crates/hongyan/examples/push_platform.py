"""Measures the push platform of a built node from outside: broadcasts to everybody, what is scheduled, and small messages beside them.

    python3 crates/hongyan/examples/push_platform.py broadcast --people 1000000
    python3 crates/hongyan/examples/push_platform.py schedule --messages 100000 --spread 60
    python3 crates/hongyan/examples/push_platform.py schedule --messages 20000 --spread 0
    ... --store postgres --nodes 3

Needs nothing beyond Python (and, for PostgreSQL, Debian's package `postgresql`). The times of tries are those that the store has on record,
everything else is read from the outside: the clock of this program, /metrics, /proc.
"""

import argparse
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
PLAN = """
[settings]
time_zone = "Asia/Shanghai"
{apps}
{senders}
[[provider]]
code = "inbox"
kind = "inbox"
[[channel]]
code = "1002"
kind = "inbox"
providers = ["inbox"]
"""
APP = '[[app]]\ncode = "{0}"\nsecret = "{0}-secret"\nbroadcast = true\nrequire_signature = false\n'
SENDER = ('[[provider]]\ncode = "to{0}"\nkind = "test"\nrepeat = "at_least_once"\nmax_in_flight = 64\n'
          '[[channel]]\ncode = "{0}"\nkind = "mail"\nproviders = ["to{0}"]\n')


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def say(*words):
    print(f"[{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:.1f}]", *words, flush=True)


class Embedded:
    """The store in one file; it is only read here."""

    started = "a.started"
    tries = "delivery d JOIN attempt a ON a.delivery = d.id AND a.no = (SELECT min(no) FROM attempt WHERE delivery = d.id)"
    done = "delivery"

    def __init__(self, home):
        self.path = home / "hongyan.db"
        self.url = f"sqlite:{self.path}"

    def rows(self, query):
        db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()

    def stop(self):
        pass


class Postgres:
    """A server of its own, on disk, that syncs."""

    started = "(d.attempts->0->>1)::bigint"
    tries = "done d"
    done = "done"

    def __init__(self, home):
        self.home, self.port = home / "pg", free_port()
        self.home.mkdir()
        self.bin = sorted(pathlib.Path("/usr/lib/postgresql").iterdir())[-1] / "bin"
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.as_user:
            shutil.chown(self.home, "postgres")
        self.run("initdb", "-D", self.home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C", "-k", "-N")
        options = ["shared_buffers=1GB", "max_wal_size=4GB", "jit=off", "max_connections=200", f"port={self.port}",
                   "listen_addresses=127.0.0.1", f"unix_socket_directories={self.home}"]
        flags = " ".join(f"-c {option}" for option in options)
        self.run("pg_ctl", "-D", self.home / "data", "-w", "-l", self.home / "log", "-o", flags, "start")
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def run(self, program, *arguments):
        command = [*self.as_user, str(self.bin / program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def rows(self, query):
        command = ["psql", self.url, "-AtqF", "\t", "-c", query]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return [tuple(int(cell) if cell.lstrip("-").isdigit() else cell for cell in line.split("\t")) for line in lines]

    def stop(self):
        self.run("pg_ctl", "-D", self.home / "data", "-m", "immediate", "stop")


class Disk(threading.Thread):
    """What the machine itself does meanwhile: 4 KiB written and synced, and a sleep of 20 ms, over and over beside the store."""

    def __init__(self, home):
        super().__init__(daemon=True)
        self.path, self.syncs, self.sleeps, self.ended = home / "probe", [], [], threading.Event()
        self.start()

    def run(self):
        with open(self.path, "wb", buffering=0) as file:
            while not self.ended.is_set():
                began = time.perf_counter()
                file.write(bytes(4096))
                os.fdatasync(file)
                synced = time.perf_counter()
                time.sleep(0.02)
                self.syncs.append((synced - began) * 1000)
                self.sleeps.append((time.perf_counter() - synced) * 1000 - 20)

    def end(self):
        self.ended.set()
        self.join()
        say("the machine meanwhile: 4 KiB synced in ms:", spread(self.syncs), "; a sleep too long by ms:", spread(self.sleeps))


class Node:
    def __init__(self, number, home, url, product):
        self.dir, self.port, self.product = home / f"node{number}", free_port(), product
        self.dir.mkdir()
        self.config = self.dir / "hongyan.toml"
        self.config.write_text(f'listen = "127.0.0.1:{self.port}"\nstore = "{url}"\nsecret_file = "{home}/master.key"\n'
                               'admin_token = "bench-administrator-token"\n')
        plan = self.dir / "plan.toml"
        plan.write_text(PLAN.format(apps="".join(map(APP.format, ["big", "small"])),
                                    senders="".join(map(SENDER.format, ["1003", "1004"]))))
        self.log = open(self.dir / "log", "w")
        self.process = subprocess.Popen([*product, "serve", "--config", self.config, "--plan", plan], stdout=self.log, stderr=self.log)
        end = time.time() + 120
        while not self.is_ready():
            if self.process.poll() is not None or time.time() > end:
                raise SystemExit((self.dir / "log").read_text()[-3000:])
            time.sleep(0.05)

    def is_ready(self):
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def metric(self, name):
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def memory(self, what="VmRSS"):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) // 1024

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def warnings(self):
        lines = (self.dir / "log").read_text().splitlines()
        return [line[:300] for line in lines if "WARN" in line or "ERROR" in line][-5:]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Caller:
    """One kept connection. `post` answers the seconds until the answer."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, app, to, content, **fields):
        body = json.dumps({"appId": app, "channelData": content, **to, **fields}).encode()
        head = f"POST /api/openApi/message/push/channel HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        began = time.perf_counter()
        self.socket.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            got = self.socket.recv(65536)
            if not got:
                raise SystemExit(f"cut off after {answer!r}")
            answer += got
        took = time.perf_counter() - began
        if b'"code":200' not in answer:
            raise SystemExit(answer.decode())
        return took


def person(n):
    return f"u{n:07d}"


def to_one(n):
    return {"receiverType": "specified", "receiverData": {"user": [person(n)]}}


# From when on the milliseconds in an id count: 2020-01-01 UTC.
EPOCH_MS = 1_577_836_800_000
EVERYBODY = {"receiverType": "all"}


def says(*channels):
    return {channel: {"title": "停水通知", "content": "<p>本周六 9:00 至 12:00 停水，请提前做好准备。</p>" * 4} for channel in channels}


def spread(values, digits=1):
    if not values:
        return "none"
    values = sorted(values)
    at = lambda share: round(values[min(len(values) - 1, int(len(values) * share))], digits)
    return f"n {len(values)}, min {round(values[0], digits)}, p50 {at(0.5)}, p99 {at(0.99)}, max {round(values[-1], digits)}"


class Ground:
    def __init__(self, options):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="hongyan-push-", dir=options.dir))
        self.home.chmod(0o755)
        self.nodes, self.store = [], None
        try:
            self.store = (Postgres if options.store == "postgres" else Embedded)(self.home)
            for number in range(options.nodes):
                self.nodes.append(Node(number, self.home, self.store.url, [options.product]))
            self.fill(options)
        except BaseException:
            self.end()
            raise

    def fill(self, options):
        say(f"{options.store}, {options.nodes} node(s); memory {[node.memory() for node in self.nodes]} MiB")
        users = self.home / "users.csv"
        with open(users, "w") as file:
            file.write("code,email\n")
            file.writelines(f"{person(n)},{person(n)}@example.com\n" for n in range(options.people))
        began = time.time()
        command = [options.product, "directory", "import", "--users", users, "--apply", "--config", self.nodes[0].config]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        say(f"{options.people} people imported in {time.time() - began:.1f} s")
        users.unlink()

    def taken(self):
        return sum(node.metric("hongyan_delivered_total") for node in self.nodes)

    def expanding(self):
        """Whose time has come."""
        return self.store.rows(f"SELECT count(*) FROM expansion WHERE due <= {int(time.time() * 1000)}")[0][0]

    def end(self):
        for node in self.nodes:
            node.stop()
            for line in node.warnings():
                say("the node says:", line)
        if self.store:
            self.store.stop()
        shutil.rmtree(self.home, ignore_errors=True)


def broadcast(options, ground):
    node, people = ground.nodes[0], options.people
    caller = Caller(node.port)
    later = [caller.post("big", EVERYBODY, says("1003"), sendTime=int((time.time() + 86400) * 1000)) * 1000 for _ in range(200)]
    say("accepting `all` on the mail channel, scheduled, ms:", spread(later, 2))
    inbox(ground, caller)
    time.sleep(3)
    for beside in (False, True):
        fan_out(ground, caller, people, beside)


def inbox(ground, caller):
    """Each broadcast is one row; how long it takes until it is there."""
    took, seen = [], []
    for n in range(100):
        began = time.time()
        took.append(caller.post("big", EVERYBODY, says("1002"), businessId=f"in{n}") * 1000)
        while not ground.store.rows(f"SELECT 1 FROM broadcast WHERE business = 'in{n}'"):
            time.sleep(0.002)
        seen.append((time.time() - began) * 1000)
    say("accepting `all` on the inbox, ms:", spread(took, 2), "; until the row is there, ms:", spread(seen))


def fan_out(ground, caller, people, beside):
    node = ground.nodes[0]
    for each in ground.nodes:
        each.forget_peak()
    before, cpu, done = [n.memory() for n in ground.nodes], [n.cpu() for n in ground.nodes], ground.taken()
    first = ground.store.rows("SELECT coalesce(max(id), 0) FROM message")[0][0]
    began = time.time()
    took = caller.post("big", EVERYBODY, says("1003"), businessId="whole") * 1000
    stop, sent = threading.Event(), []
    threads = [threading.Thread(target=small, args=(node.port, channel, stop, sent), daemon=True) for channel in ("1003", "1004") if beside]
    for thread in threads:
        thread.start()
    expanded, ended = wait_until_taken(ground, done + people, 1200)
    stop.set()
    for thread in threads:
        thread.join()
    rss, peak = [n.memory() for n in ground.nodes], [n.memory("VmHWM") for n in ground.nodes]
    used = [round(n.cpu() - c, 1) for n, c in zip(ground.nodes, cpu)]
    say(f"accepted in {took:.1f} ms; expanded after {expanded - began:.1f} s, taken after {ended - began:.1f} s,"
        f" {people / (ended - began):.0f} a second; CPU {used} s; memory {before} -> {rss}, at most {peak} MiB")
    judge(ground, people, first)
    if beside:
        time.sleep(2)
        for channel, name in ((1, "the same"), (2, "another")):
            beside_of(ground, first, channel, name)
        say("accepting of the small ones, ms:", spread(sent, 1))


def wait_until_taken(ground, done, limit):
    """Waits for so many deliveries; answers when nobody that is due was left to be found, and when all was taken."""
    began, expanded = time.time(), None
    while True:
        if expanded is None and ground.expanding() == 0:
            expanded = time.time()
        if expanded is not None and ground.taken() >= done:
            return expanded, time.time()
        if time.time() - began > limit:
            raise SystemExit(f"{ground.taken()} of {done} after {limit} s")
        time.sleep(0.2)


def judge(ground, people, first):
    """Each person once, by the store's own rows."""
    app = ground.store.rows(f"SELECT min(app) FROM message WHERE id > {first}")[0][0]
    time.sleep(1)
    table = ground.store.done
    query = f"SELECT count(*), count(DISTINCT recipient) FROM {table} WHERE app = {app} AND state = 3 AND message > {first}"
    say("on record: accepted, people:", ground.store.rows(query)[0], "of", people)


def small(port, channel, stop, sent):
    caller, n = Caller(port), 0
    while not stop.wait(0.05):
        sent.append(caller.post("small", to_one(n % 1000), says(channel), businessId=f"small{channel}") * 1000)
        n += 1


def beside_of(ground, first, nth, name):
    store = ground.store
    channels = [row[0] for row in store.rows(f"SELECT DISTINCT channel FROM message WHERE id > {first} ORDER BY channel")]
    app = store.rows(f"SELECT max(app) FROM message WHERE id > {first}")[0][0]
    query = (f"SELECT {store.started} - m.accepted FROM {store.tries} JOIN message m ON m.id = d.message"
             f" WHERE d.app = {app} AND d.channel = {channels[nth - 1]} AND d.message > {first}")
    say(f"another app on {name} channel, from accepting to the try, ms:", spread([row[0] for row in store.rows(query)]))


def schedule(options, ground):
    count, within = options.messages, options.spread
    began = time.time()
    zero = int((began + options.lead) * 1000)
    due = lambda n: zero + n * within * 1000 // count
    numbers, lock = iter(range(count)), threading.Lock()

    def post_all(port):
        caller = Caller(port)
        while True:
            with lock:
                n = next(numbers, None)
            if n is None:
                return
            caller.post("small", to_one(n), says("1003"), sendTime=due(n))

    ports = [ground.nodes[n % len(ground.nodes)].port for n in range(32)]
    threads = [threading.Thread(target=post_all, args=(port,), daemon=True) for port in ports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.time() - began
    left = zero / 1000 - time.time()
    say(f"{count} scheduled at {count / took:.0f}/s; the first is due in {left:.1f} s; memory {[n.memory() for n in ground.nodes]} MiB")
    if left > 0:
        time.sleep(left)
    cpu, disk = [node.cpu() for node in ground.nodes], Disk(ground.home)
    wait_until_taken(ground, count, within + 600)
    ended = time.time()
    disk.end()
    used = [round(n.cpu() - c, 1) for n, c in zip(ground.nodes, cpu)]
    time.sleep(2)
    store = ground.store
    rows = store.rows(f"SELECT d.recipient, {store.started}, d.id FROM {store.tries}")
    rows = [(due(int(recipient[1:])), (number >> 22) + EPOCH_MS, started) for recipient, started, number in rows]
    late = [started - at for at, _, started in rows]
    say(f"{len(rows)} tries of {count}; the last taken {ended - zero / 1000 - within:.1f} s after the last was due; CPU {used} s;"
        f" memory {[n.memory() for n in ground.nodes]} MiB")
    say("lateness, ms:", spread(late), "; early:", sum(l < 0 for l in late))
    say("of that, until its page was made:", spread([made - at for at, made, _ in rows]))
    say("of that, from the page to the try:", spread([started - made for _, made, started in rows]))
    slices = [sorted(started - at for at, _, started in rows if (at - zero) // 5000 == n) for n in range(within // 5)]
    say("p50 and p99 by slices of 5 s:", [(few[len(few) // 2], few[len(few) * 99 // 100]) for few in slices if few])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["broadcast", "schedule"])
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--spread", type=int, default=60, help="seconds over which what is scheduled falls due")
    parser.add_argument("--lead", type=float, default=60, help="seconds from the first request to the first that is due")
    parser.add_argument("--product", default=str(ROOT / "target/release/hongyan"))
    parser.add_argument("--dir", default="/var/tmp")
    options = parser.parse_args()
    ground = Ground(options)
    try:
        {"broadcast": broadcast, "schedule": schedule}[options.what](options, ground)
    finally:
        ground.end()


if __name__ == "__main__":
    main()
