using System.Globalization;

namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <content>What a script is put together from.</content>
internal sealed partial class Generator
{
    private static readonly string[] Options =
    [
        "SO_REUSEADDR", "SO_REUSEPORT", "SO_KEEPALIVE", "SO_RCVLOWAT", "TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_SYNCNT", "TCP_LINGER2",
        "TCP_QUICKACK", "TCP_USER_TIMEOUT", "IP_TOS", "IP_TTL", "IPV6_V6ONLY", "IPV6_TCLASS",
    ];

    private static readonly string[] Answers = ["SO_TYPE", "SO_ERROR", "SO_ACCEPTCONN", "SO_PROTOCOL", "SO_DOMAIN", "TCP_INFO", "SO_LINGER", "SO_RCVTIMEO"];

    private void Move()
    {
        (int Weight, Action Make)[] moves = _isAboutDatagrams ?
        [
            (12, OpenDatagram), (32, SendDatagram), (28, ReceiveDatagram), (8, ConnectDatagram), (6, BlockedDatagram), (5, Open), (6, Send), (6, Receive), (4, Shut), (6, Close),
            (8, SetOption), (6, GetOption), (8, Wait), (12, UseEpoll), (5, Duplicate), (4, Fork), (2, End), (6, Names), (6, Mode), (5, Bind), (5, Wild),
        ]
        :
        [
            (14, Open), (30, Send), (24, Receive), (6, Shut), (7, Close), (8, SetOption), (6, GetOption), (8, Wait), (14, UseEpoll), (6, Duplicate), (4, Fork),
            (2, End), (6, Names), (6, Mode), (3, Bulk), (6, Socket), (6, Bind), (5, Listen), (6, Connect), (8, Accept), (5, Wild), (3, Blocked),
        ];
        int at = _random.Next(moves.Sum(move => move.Weight));
        foreach ((int weight, Action make) in moves)
        {
            if ((at -= weight) < 0)
            {
                make();
                return;
            }
        }
    }

    /// <summary>A connection between two processes, over a new listener or one that is there.</summary>
    private void Open()
    {
        (Process server, Fd listener) = Chance(50) && Holder(fd => fd.Kind == Kind.Listener) is { } found ? found : NewListener();
        Process client = AnyProcess();
        if (listener.WaitsLocal is bool waits && waits != (listener.Host == client.Host))
        {
            (server, listener) = NewListener();
        }

        int family = listener.Family == 6 && listener.Bound.Contains("/any/", StringComparison.Ordinal) && Chance(30) ? 4 : listener.Family;
        Fd c = NewFd(client, Kind.Connected, family);
        string host = listener.Bound.Contains("/lo/", StringComparison.Ordinal) ? "lo" : listener.Host == client.Host && Chance(30) ? "lo" : listener.Host;
        Add(client, "socket", c.Name, Family(family), "stream" + (Chance(30) ? "+nonblock" : "") + (Chance(10) ? "+cloexec" : ""));
        Fd a = NewFd(server, Kind.Connected, listener.Family);
        bool acceptFirst = Chance(15);
        if (acceptFirst)
        {
            listener.WaitsLocal ??= listener.Host == client.Host; // of a non-blocking listener that accept takes nothing, and the connection waits
            Add(server, "accept", a.Name, listener.Name, Pick("-", "plain", "nonblock"));
        }

        Add(client, "connect", c.Name, $"{Family(family)}/{host}/{listener.Bound.Split('/')[2]}");
        if (Chance(10) && !acceptFirst)
        {
            AddQuiet(client, "send", c.Name, "100", "nosignal");
            a.UnreadBytes += 100;
        }

        if (!acceptFirst)
        {
            Add(server, "accept", a.Name, listener.Name, Pick("-", "-", "plain", "nonblock", "cloexec"));
        }

        (a.Peer, c.Peer) = (c, a);
    }

    private (Process Process, Fd Fd) NewListener()
    {
        Process server = AnyProcess();
        int family = Chance(65) ? 4 : 6;
        Fd listener = NewFd(server, Kind.Listener, family);
        Add(server, "socket", listener.Name, Family(family), Chance(20) ? "stream+nonblock" : "stream");
        if (Chance(30))
        {
            Add(server, "setopt", listener.Name, Pick("SO_REUSEADDR", "SO_REUSEPORT", "IPV6_V6ONLY"), "1");
        }

        listener.Bound = $"{Family(family)}/{Pick("any", "any", server.Host, "lo")}/P{Number(0, 8)}";
        Add(server, "bind", listener.Name, listener.Bound);
        Add(server, "listen", listener.Name, Backlog(listener));
        return (server, listener);
    }

    /// <summary>
    /// How many connections may wait. Where they come over loopback and from outside the kernel has one queue and NetKernel two: few enough to tell only where they come one way.
    /// </summary>
    private string Backlog(Fd listener)
    {
        string backlog = Pick("0", "1", "5", "128");
        return backlog is "5" or "128" || listener.Bound.Contains("/lo/", StringComparison.Ordinal) ? backlog : "8";
    }

    private static string Family(int family) => family.ToString(CultureInfo.InvariantCulture);

    private void Send()
    {
        if (Holder(fd => fd.Kind == Kind.Connected) is not { } holder)
        {
            return;
        }

        (Process process, Fd fd) = holder;
        string size = Size();
        int bytes = int.Parse(size, CultureInfo.InvariantCulture);
        if (fd.Peer is { } peer)
        {
            if (peer.UnreadBytes + bytes > MostUnreadBytes || peer.UnreadSends + 1 > MostUnreadSends)
            {
                Drain(peer);
            }

            peer.UnreadBytes += bytes;
            peer.UnreadSends++;
        }

        string flags = Flags(25, "nosignal", "dontwait");
        if (Chance(15) && bytes <= 5000)
        {
            for (int i = _random.Next(1, 4); i > 0; i--)
            {
                _steps.Add(new Step(process.Name, 0, "send", [fd.Name, Pick("1", "10", "500"), "nosignal"], IsObserved: false));
            }
        }

        switch (_random.Next(10))
        {
            case 0:
                AddQuiet(process, "write", fd.Name, size);
                break;
            case 1:
                AddQuiet(process, "writev", fd.Name, Cut(bytes));
                break;
            case 2:
                AddQuiet(process, "sendmsg", fd.Name, Cut(bytes), flags);
                break;
            case 3:
                AddQuiet(process, "sendfile", fd.Name, size);
                break;
            case 4:
                AddQuiet(process, "sendto", fd.Name, size, flags, Address(fd.Family, fd.Host));
                break;
            case 5:
                // What waits for more is sent when it pleases: the rest follows at once.
                _steps.Add(new Step(process.Name, 0, "send", [fd.Name, size, "more+nosignal"], IsObserved: false));
                AddQuiet(process, "send", fd.Name, "5", "nosignal");
                break;
            default:
                AddQuiet(process, "send", fd.Name, size, flags);
                break;
        }
    }

    private string Cut(int bytes)
    {
        int first = _random.Next(bytes + 1), second = _random.Next(bytes - first + 1);
        return string.Create(CultureInfo.InvariantCulture, $"{first},{second},{bytes - first - second}");
    }

    private void Drain(Fd fd)
    {
        if (Holder(other => other == fd) is { } holder)
        {
            Add(holder.Process, "recv", fd.Name, "100000", "dontwait");
        }

        (fd.UnreadBytes, fd.UnreadSends) = (0, 0);
    }

    private void Receive()
    {
        if ((Holder(fd => fd.UnreadBytes > 0) ?? Holder(fd => fd.Kind == Kind.Connected)) is not { } holder)
        {
            return;
        }

        (Process process, Fd fd) = holder;
        string size = Chance(20) && fd.UnreadBytes > 0 ? fd.UnreadBytes.ToString(CultureInfo.InvariantCulture) : Pick(Size(), "100000");
        int bytes = int.Parse(size, CultureInfo.InvariantCulture);
        string flags = fd.UnreadBytes == 0 && Chance(80) ? "dontwait" : Flags(12, "peek", "waitall", "dontwait", "trunc", "nosignal");
        (string call, string[] arguments) = _random.Next(8) switch
        {
            0 => ("read", new[] { fd.Name, size }),
            1 => ("readv", [fd.Name, Cut(Math.Min(bytes, MostSize))]),
            2 => ("recvmsg", [fd.Name, Cut(Math.Min(bytes, MostSize)), flags]),
            3 => ("recvfrom", [fd.Name, size, flags]),
            _ => ("recv", [fd.Name, size, flags]),
        };
        Add(process, call, arguments);
        if (!flags.Contains("peek", StringComparison.Ordinal))
        {
            fd.UnreadBytes = Math.Max(0, fd.UnreadBytes - bytes);
            fd.UnreadSends = fd.UnreadBytes == 0 ? 0 : fd.UnreadSends;
        }
    }

    /// <summary>More than the buffers hold, so that both ends must work at the same time.</summary>
    private void Bulk()
    {
        if (Holder(fd => fd is { Kind: Kind.Connected, UnreadBytes: 0, Peer: { UnreadBytes: 0, Kind: Kind.Connected } }) is { } holder
            && Holder(fd => fd == holder.Fd.Peer) is { } peer)
        {
            string size = Number(20_000, 400_000);
            Add(holder.Process, "setfl", holder.Fd.Name, "-");
            Add(peer.Process, "setfl", peer.Fd.Name, "-");
            _steps.Add(new Step(peer.Process.Name, 3, "recvall", [peer.Fd.Name, size]));
            _steps.Add(new Step(holder.Process.Name, 2, "sendall", [holder.Fd.Name, size, peer.Fd.Name]));
        }
    }

    /// <summary>A call that waits, and later what it waits for.</summary>
    private void Blocked()
    {
        if (Holder(fd => fd is { Kind: Kind.Connected, UnreadBytes: 0, Peer: not null }) is { } holder)
        {
            Add(holder.Process, "setfl", holder.Fd.Name, "-");
            Add(holder.Process, Pick("recv", "recvfrom"), holder.Fd.Name, Pick("1", "100", "5000"), Pick("-", "-", "waitall", "peek"));
            holder.Fd.Peer!.UnreadBytes = 0;
            if (Chance(30))
            {
                Add(holder.Process, Pick("close", "recv", "shutdown", "sockname"), holder.Fd.Name, "rd");
            }
            else if (Holder(fd => fd == holder.Fd.Peer) is { } peer)
            {
                Add(peer.Process, "send", peer.Fd.Name, Pick("1", "50", "100", "5000"), "nosignal");
            }
        }
    }
}
