"""Whole lives, many at once, each with one misfortune: every single frame of a life in turn is lost,
late, overtaken or doubled; and lives drawn at random through random damage.

A life has a listening port of its own, by which the damage knows it. How lives differ stands in
LIVES; what befalls a frame stands in MISFORTUNES.
"""

import contextlib
import random
import socket
import threading

from scenario import Failed, scenario

BOTH = (4, 6)
FIRST_PORT = 8000
FRAMES = 13  # of the longest life, in both directions together
WRITE = socket.SHUT_WR


def client_closes(net, client, server):
    """A request, an answer; the client closes first."""
    net.exchange(client, server)
    client.close()
    until_end(server)
    server.close()


def server_closes(net, client, server):
    """A request, an answer; the server closes first."""
    net.exchange(client, server)
    server.close()
    until_end(client)
    client.close()


def server_speaks_first(net, client, server):
    """A greeting, a request, an answer; the server closes first."""
    server.sendall(b"g" * 30)
    net.read(client, 30)
    net.exchange(client, server)
    server.close()
    until_end(client)
    client.close()


def half_close(net, client, server):
    """The client shuts down behind its request, the answer comes in three parts, the server closes."""
    client.sendall(b"q" * 100)
    client.shutdown(WRITE)
    net.read(server, 100)
    for _ in range(3):
        server.sendall(b"a" * 100)
        net.wait(0.005)
    server.close()
    until_end(client)
    client.close()


def both_close(net, client, server):
    """A request, an answer; both close at once."""
    net.exchange(client, server)
    client.close()
    server.close()


def nothing_said(net, client, server):
    """No data at all; the client closes first."""
    client.close()
    until_end(server)
    server.close()


def closes_with_request(net, client, server):
    """The client closes right behind its request; the server never answers."""
    client.sendall(b"q" * 100)
    client.close()
    net.read(server, 100)
    until_end(server)
    server.close()


def client_aborts(net, client, server):
    """A request, an answer; the client resets."""
    net.exchange(client, server)
    net.linger_zero(client)
    client.close()
    until_end(server)
    server.close()


LIVES = (client_closes, server_closes, server_speaks_first, half_close, both_close, nothing_said,
         closes_with_request, client_aborts)


def until_end(sock):
    """Reads to the end of the stream, or of the connection."""
    with contextlib.suppress(ConnectionError):
        while sock.recv(65536):
            pass


class Company:
    """Lives that are lived side by side, one thread for each."""

    def __init__(self, net, lives):
        self.net, self.threads, self.broken = net, [], []
        for number, life in enumerate(lives):
            listener = net.listen(FIRST_PORT + number)
            listener.settimeout(12)
            self.threads.append(threading.Thread(target=self._live, args=(number, listener, life)))

    def _live(self, number, listener, life):
        net = self.net
        try:
            client = net.dial(FIRST_PORT + number)
            server = net.accept(listener)
            net.reach(client, "ESTABLISHED")
            life(net, client, server)
        except (OSError, Failed) as error:
            self.broken.append(f"life {number}: {error}")

    def live(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        with contextlib.suppress(Failed):
            self.net.until(self._at_rest, 8)
        for text in sorted(self.broken):
            self.net.note(text)

    def _at_rest(self):
        """Nothing is on its way any more: no socket waits for a segment that must come."""
        moving = {"SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "CLOSING", "LAST-ACK"}
        return not any(state in moving for host in self.net.hosts
                       for state in self.net.table(host).values())


def in_turn(syn=True):
    """Matches the first frame of the first life, the second frame of the second, and so on; a SYN
    only with `syn`."""
    seen = {}

    def match(packet, side):
        port = packet.dport if side == "client" else packet.sport
        seen[port] = seen.get(port, 0) + 1
        return seen[port] == port - FIRST_PORT + 1 and (syn or not packet.bare_syn)

    return match


MISFORTUNES = {
    "lost": lambda relay: relay.drop(in_turn(), count=None),
    "late": lambda relay: relay.late(in_turn(), 0.35, count=None),
    "overtaken": lambda relay: relay.late(in_turn(), 0.012, count=None),
    "twice": lambda relay: relay.duplicate(in_turn(), count=None, after=0.0005),
    # A late copy of a SYN is a story of its own: late_syn_duplicate.
    "twice_late": lambda relay: relay.duplicate(in_turn(syn=False), count=None, after=0.3),
}


def each_frame(life, name, befall, title="each_frame", **settings):
    def attempt(net):
        befall(net.relay)
        Company(net, [life] * FRAMES).live()

    attempt.__doc__ = f"{life.__doc__} In each of {FRAMES} lives another frame is {name.replace('_', ', ')}."
    scenario(families=BOTH, name=f"{title}_{name}_{life.__name__}", relay=True, delay=0.002,
             seconds=12, poll=0.02, **settings)(attempt)


def each_frame_behind_the_tap(life, receiver):
    """The receiver's firewall eats the frame after the tap has seen it."""
    def attempt(net):
        host, direction = (net.server, "dport") if receiver == "server" else (net.client, "sport")
        host.drop_input(*(f"tcp {direction} {FIRST_PORT + nth} numgen inc mod 1000 == {nth}"
                          for nth in range(FRAMES // 2 + 1)))
        Company(net, [life] * (FRAMES // 2 + 1)).live()

    attempt.__doc__ = (f"{life.__doc__} In each of {FRAMES // 2 + 1} lives the {receiver}'s firewall "
                       "eats another frame behind the tap.")
    scenario(families=BOTH, name=f"each_frame_eaten_by_{receiver}_{life.__name__}", seconds=12,
             poll=0.02)(attempt)


for _life in LIVES:
    for _name, _befall in MISFORTUNES.items():
        each_frame(_life, _name, _befall)
    for _receiver in ("client", "server"):
        each_frame_behind_the_tap(_life, _receiver)


# Late segments bring back cookies to servers that have closed.
each_frame(client_closes, "late", MISFORTUNES["late"], "cookies_each_frame",
           server={"tcp_syncookies": 2})


def random_life(dice):
    """A life of a few exchanges of random sizes, with random pauses and a random end."""
    rounds = [(dice.choice((1, 100, 1400, 6000)), dice.choice((1, 200, 3000, 9000)))
              for _ in range(dice.randrange(4))]
    pause = dice.choice((0, 0, 0.003, 0.05))
    end = dice.choice(LIVES)

    def life(net, client, server):
        for asked, answered in rounds:
            client.sendall(b"q" * asked)
            net.read(server, asked)
            server.sendall(b"a" * answered)
            net.read(client, answered)
            net.wait(pause)
        end(net, client, server)

    return life


def random_lives(seed, loss, late, double, delay, **settings):
    def attempt(net):
        from scenarios.loss import impair
        dice = random.Random(seed)
        lives = [random_life(dice) for _ in range(30)]
        impair(net, seed, loss, late, double, dice.choice((0.004, 0.03, 0.3)))
        Company(net, lives).live()

    attempt.__doc__ = (f"Thirty lives drawn at random through {loss:.0%} loss, {late:.0%} reordering, "
                       f"{double:.0%} duplication, {delay * 1000:.0f} ms each way.")
    scenario(families=BOTH, name=f"random_lives_{seed}", relay=True, delay=delay, seconds=28,
             poll=0.03, deterministic=False, **settings)(attempt)


def scattered_lives(seed, spread, title, **settings):
    def attempt(net):
        dice = random.Random(seed)
        lives = [random_life(dice) for _ in range(20)]
        net.relay.scatter(lambda packet, side: True, lambda: dice.uniform(0, spread))
        Company(net, lives).live()

    attempt.__doc__ = f"Twenty lives drawn at random; each frame is on its way for 10 to {10 + spread * 1000:.0f} ms."
    scenario(families=BOTH, name=title, relay=True, delay=0.01, seconds=28, poll=0.03,
             deterministic=False, **settings)(attempt)


scattered_lives(21, 0.02, "scattered_lives")
scattered_lives(22, 0.02, "scattered_lives_without_timestamps", sysctl={"tcp_timestamps": 0})

random_lives(1, 0.03, 0.05, 0.02, 0.0)
random_lives(2, 0.08, 0.05, 0.05, 0.01)
random_lives(3, 0.05, 0.15, 0.05, 0.03, sysctl={"tcp_timestamps": 0})
random_lives(4, 0.10, 0.0, 0.0, 0.005, sysctl={"tcp_sack": 0})
random_lives(5, 0.12, 0.0, 0.0, 0.005, sysctl={"tcp_timestamps": 0})
random_lives(6, 0.07, 0.05, 0.03, 0.002, sysctl={"tcp_timestamps": 0, "tcp_sack": 0})
random_lives(7, 0.15, 0.0, 0.0, 0.002, sysctl={"tcp_retries2": 4, "tcp_orphan_retries": 2,
                                               "tcp_syn_retries": 2, "tcp_synack_retries": 2})
