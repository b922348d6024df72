"""Many connections at once: clean, through loss, on few ports, and a leak that grows."""

import contextlib
import random
import select
import socket
import threading
import time

from scenario import scenario


class Server(threading.Thread):
    """Accepts, answers every request once and closes after the client, until `stop`."""

    def __init__(self, listener, keep, close_first=False):
        super().__init__(daemon=True)
        self.listener, self.keep, self.close_first = listener, keep, close_first
        self.stopping = False

    def stop(self):
        self.stopping = True
        self.join()

    def run(self):
        poll = select.epoll()
        poll.register(self.listener, select.EPOLLIN)
        known = {}
        while not self.stopping:
            for number, _ in poll.poll(0.1):
                if number == self.listener.fileno():
                    self.listener.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            made, _ = self.listener.accept()
                            made.setblocking(False)
                            known[made.fileno()] = made
                            self.keep.append(made)
                            poll.register(made, select.EPOLLIN)
                    continue
                made = known[number]
                try:
                    data = made.recv(65536)
                    if data:
                        made.send(b"a" * 400)
                    if not data or self.close_first:
                        poll.unregister(made)
                        del known[number]
                        made.close()
                except OSError:
                    with contextlib.suppress(OSError):
                        poll.unregister(made)
                    known.pop(number, None)
                    made.close()


def crowd(net, count, pace, limit):
    """`count` clients: connect, ask, read the answer, close. Returns how many were served."""
    waiting = {}
    poll = select.epoll()
    served = begun = 0
    until = time.monotonic() + limit
    while (begun < count or waiting) and time.monotonic() < until:
        if begun < count:
            client = net.dial(80)
            client.setblocking(False)
            waiting[client.fileno()] = [client, False]
            poll.register(client, select.EPOLLOUT)
            begun += 1
            time.sleep(pace)
        for number, event in poll.poll(0 if begun < count else 0.1):
            entry = waiting[number]
            try:
                if not entry[1]:
                    entry[0].send(b"q" * 200)
                    entry[1] = True
                    poll.modify(number, select.EPOLLIN)
                    continue
                answer = entry[0].recv(65536)
                served += bool(answer)
            except OSError:
                pass
            poll.unregister(number)
            del waiting[number]
            entry[0].close()
    return served


def size(net, many):
    """Recorded runs stay small."""
    return many // 10 if net.record else many


@scenario(seconds=25, poll=0.1, deterministic=False, quick=False)
def thousands_with_loss(net):
    """Three thousand connections at once; the server's firewall eats every 40th segment."""
    net.server.drop_input("numgen inc mod 40 == 7")
    listener = net.listen(backlog=4096)
    server = Server(listener, net.keep)
    server.start()
    served = crowd(net, size(net, 3000), 0.0005, 15)
    net.wait(1.0)
    server.stop()
    net.note(f"{served} served")


@scenario(seconds=15, poll=0.1, deterministic=False, quick=False)
def thousands_clean(net):
    """Two thousand short connections closed by the client."""
    listener = net.listen(backlog=4096)
    server = Server(listener, net.keep)
    server.start()
    served = crowd(net, size(net, 2000), 0.0005, 10)
    net.wait(0.5)
    server.stop()
    net.note(f"{served} served")


@scenario(seconds=15, poll=0.05, deterministic=False,
          client={"ip_local_port_range": "50000 50049"})
def port_reuse_under_load(net):
    """Fifty ports for hundreds of connections that the server closes first: its TIME-WAIT is recycled."""
    listener = net.listen(backlog=1024)
    server = Server(listener, net.keep, close_first=True)
    server.start()
    dice = random.Random(3)
    done = 0
    for _ in range(size(net, 3000)):
        try:
            client = net.dial(80, block=True, source=50000 + dice.randrange(50))
        except OSError:
            continue
        client.sendall(b"q" * 50)
        with contextlib.suppress(OSError):
            while client.recv(65536):
                pass
        client.close()
        done += 1
    net.wait(0.3)
    server.stop()
    net.note(f"{done} done")


@scenario(relay=True, seconds=25, poll=0.1, deterministic=False,
          client={"ip_local_port_range": "50000 50099"})
def port_reuse_with_loss(net):
    """A hundred ports for hundreds of connections that the server closes first; 2 % of all is lost."""
    dice = random.Random(5)
    net.relay.drop(lambda packet, side: dice.random() < 0.02, count=None)
    server = Server(net.listen(backlog=1024), net.keep, close_first=True)
    server.start()
    served = crowd(net, size(net, 600), 0.004, 12)
    net.wait(1.5)
    server.stop()
    net.note(f"{served} served")


@scenario(seconds=12, poll=0.05, deterministic=False, server={"core__somaxconn": 8})
def accept_queue_under_load(net):
    """A slow server with a short queue: some clients wait for repeated SYNs and SYN-ACKs."""
    listener = net.listen(backlog=8)
    clients = [net.dial(80) for _ in range(40)]
    listener.settimeout(3)
    for _ in clients:
        try:
            server = net.accept(listener)
        except TimeoutError:
            break
        net.wait(0.03)
        server.close()
    net.wait(0.2)
    net.note(f"{sum(net.state(client) == 'CLOSE-WAIT' for client in clients)} in CLOSE-WAIT")


def obey(net, server):
    """A server that ends its connection as the client's first word says."""
    with contextlib.suppress(OSError):
        word = server.recv(64).split()[0]
        if word == b"unread":
            net.wait(0.03)
            server.close()
            return
        server.sendall(b"a" * 300)
        if word == b"half":
            server.shutdown(socket.SHUT_WR)
        if word == b"reset":
            net.linger_zero(server)
        if word not in (b"first", b"reset"):
            while server.recv(65536):
                pass
        if word != b"leak":
            server.close()


def live(net, word):
    """A client that asks for one of those ends, or makes one itself."""
    with contextlib.suppress(OSError):
        client = net.dial(99 if word == "refused" else 80, block=True)
        client.sendall(word.encode() + b" " + b"q" * 20)
        if word == "hasty":
            client.close()
            return
        client.settimeout(0.15)
        if word == "unread":
            client.sendall(b"q" * 100)
        with contextlib.suppress(TimeoutError):
            while client.recv(65536):
                pass
        if word == "abort":
            net.linger_zero(client)
        if word == "shut":
            client.shutdown(socket.SHUT_WR)
            net.wait(0.05)
        client.close()


@scenario(families=(4, 6), seconds=8, deterministic=False)
def busy_host(net):
    """Ends of all kinds at once at one listener: closed by either side or half, aborted by either, with
    data unread, leaked, and refused."""
    words = ("close", "first", "half", "shut", "hasty", "abort", "reset", "unread", "leak", "refused")
    listener = net.listen()
    listener.settimeout(0.3)
    threads = []

    def accept():
        with contextlib.suppress(OSError):
            while True:
                server = net.accept(listener)
                threads.append(threading.Thread(target=obey, args=(net, server)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    clients = []
    chance = random.Random(7)
    for _ in range(25 if net.record else 60):
        clients.append(threading.Thread(target=live, args=(net, chance.choice(words))))
        clients[-1].start()
        net.wait(chance.random() * 0.02)
    for client in clients:
        client.join()
    net.wait(0.3)
    accepting.join()
