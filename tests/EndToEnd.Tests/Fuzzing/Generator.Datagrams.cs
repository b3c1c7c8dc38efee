using System.Globalization;

namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <content>
/// Datagram sockets. What they hold unread stays below every stack's bounds, and comes from one side at a time: which of a datagram over the guest's loopback and
/// one from outside is read first is not promised (docs/guestlib.md).
/// </content>
internal sealed partial class Generator
{
    private const int MostDatagramBytes = 20_000, MostDatagrams = 8;

    /// <summary>A socket, mostly with a name, sometimes with a peer.</summary>
    private void OpenDatagram()
    {
        Process process = AnyProcess();
        Fd fd = NewFd(process, Kind.Datagram, Chance(65) ? 4 : 6);
        Add(process, "socket", fd.Name, Family(fd.Family), Chance(25) ? "dgram+nonblock" : "dgram");
        if (Chance(20))
        {
            Add(process, "setopt", fd.Name, Pick("SO_REUSEADDR", "SO_REUSEPORT", "IPV6_V6ONLY"), "1");
        }

        if (Chance(80))
        {
            fd.Bound = $"{Family(fd.Family)}/{Pick("any", "any", process.Host, "lo")}/P{Number(0, 8)}";
            fd.IsOnLoopback6 = fd.Bound.StartsWith("6/lo/", StringComparison.Ordinal);
            Add(process, "bind", fd.Name, fd.Bound);
        }

        if (Chance(25))
        {
            Connect(process, fd);
        }
    }

    private void ConnectDatagram()
    {
        if (Holder(fd => fd.Kind == Kind.Datagram) is { } holder)
        {
            Connect(holder.Process, holder.Fd);
        }
    }

    private void Connect(Process process, Fd fd)
    {
        (Fd? peer, string address) = Chance(15) ? (null, "unspec") : Target(process, fd);
        if (address != "unspec")
        {
            // While a socket has a peer on one side, its half on the other drops what a kernel would refuse (docs/fuzzing.md).
            bool isLocal = address.Contains($"/{process.Host}/", StringComparison.Ordinal) || address.Contains("lo/", StringComparison.Ordinal)
                || address.Contains($"m:{process.Host}/", StringComparison.Ordinal);
            bool isBound = fd.Bound.Length > 0 && !fd.Bound.Contains("/lo/", StringComparison.Ordinal);
            bool isUnread = fd.UnreadSends > 0 && fd.UnreadIsLocal != isLocal;
            if ((isLocal && isBound) || (fd.PeerIsLocal ?? isLocal) != isLocal || isUnread)
            {
                return;
            }

            fd.PeerIsLocal = isLocal;
            fd.IsOnLoopback6 |= address.StartsWith("6/lo/", StringComparison.Ordinal);
        }

        fd.Peer = peer;
        Add(process, "connect", fd.Name, address);
    }

    /// <summary>A datagram socket that can be reached, or nobody's port.</summary>
    private (Fd? Peer, string Address) Target(Process from, Fd fd)
    {
        Fd? peer = Chance(85) ? _fds.Find(other => other.Kind == Kind.Datagram && other.Bound.Length > 0 && Chance(40)
            && !fd.IsOnLoopback6
            && (other.PeerIsLocal ?? other.Host == from.Host) == (other.Host == from.Host)
            && (other.Family == fd.Family || other.Bound.Contains("/any/", StringComparison.Ordinal))) : null;
        if (peer == null)
        {
            // From ::1 to the world: the kernel lets it out of the program and drops it later, a guest's has no route (docs/fuzzing.md).
            string to = fd.IsOnLoopback6 ? "lo" : Pick("A", "B", "lo"), port = Port();
            return (Owner(Kind.Datagram, from.Host, to, port), $"{Family(fd.Family)}/{to}/{port}");
        }

        string host = peer.Bound.Contains("/lo/", StringComparison.Ordinal) || (peer.Host == from.Host && Chance(30)) ? "lo" : peer.Host;
        string prefix = fd.Family == 6 && peer.Family == 4 ? "m:" : "";
        return (peer, $"{Family(fd.Family)}/{prefix}{host}/{peer.Bound.Split('/')[2]}");
    }

    private void SendDatagram()
    {
        if (Holder(fd => fd.Kind == Kind.Datagram) is not { } holder)
        {
            return;
        }

        (Process process, Fd fd) = holder;
        string size = Pick("0", "1", "7", "100", "1400", "1472", "1473", "2048", "2049", "4096", "9000", "16385");
        size = Chance(2) ? "70000" : size;
        bool toPeer = fd.Peer != null ? Chance(70) : Chance(5);
        (Fd? target, string address) = toPeer ? (fd.Peer, "-") : Target(process, fd);
        if (target != null)
        {
            Expect(target, int.Parse(size, CultureInfo.InvariantCulture), process.Host == target.Host);
        }

        string flags = Flags(20, "nosignal", "dontwait");
        if (!toPeer)
        {
            Add(process, Pick("sendto", "sendto", "sendmsg"), fd.Name, size, flags, address);
            return;
        }

        switch (_random.Next(5))
        {
            case 0:
                Add(process, "write", fd.Name, size);
                break;
            case 1:
                Add(process, "writev", fd.Name, Cut(int.Parse(size, CultureInfo.InvariantCulture)));
                break;
            case 2:
                Add(process, "sendmsg", fd.Name, Cut(int.Parse(size, CultureInfo.InvariantCulture)), flags);
                break;
            default:
                Add(process, "send", fd.Name, size, flags);
                break;
        }
    }

    /// <summary>A datagram is about to come to a socket; what could make the order or the room doubtful is read before.</summary>
    private void Expect(Fd target, int bytes, bool isLocal)
    {
        bool isTooMuch = target.UnreadBytes + bytes > MostDatagramBytes || target.UnreadSends >= MostDatagrams;
        if ((isTooMuch || (target.UnreadSends > 0 && target.UnreadIsLocal != isLocal)) && Holder(fd => fd == target) is { } holder)
        {
            for (int i = 0; i <= target.UnreadSends; i++)
            {
                Add(holder.Process, "recv", target.Name, "100000", "dontwait"); // one more than there should be: an error that waits is told first
            }

            (target.UnreadSends, target.UnreadBytes) = (0, 0);
        }

        target.UnreadSends++;
        target.UnreadBytes += bytes;
        target.UnreadIsLocal = isLocal;
    }

    private void ReceiveDatagram()
    {
        if ((Holder(fd => fd.Kind == Kind.Datagram && fd.UnreadSends > 0) ?? Holder(fd => fd.Kind == Kind.Datagram)) is not { } holder)
        {
            return;
        }

        (Process process, Fd fd) = holder;
        string size = Pick("0", "1", "100", "2048", "2049", "100000", "100000");
        string flags = fd.UnreadSends == 0 && Chance(85) ? "dontwait" : Flags(15, "peek", "trunc", "dontwait", "waitall");
        int bytes = Math.Min(int.Parse(size, CultureInfo.InvariantCulture), MostSize);
        (string call, string[] arguments) = _random.Next(7) switch
        {
            0 => ("read", new[] { fd.Name, size }),
            1 => ("readv", [fd.Name, Cut(bytes)]),
            2 => ("recvmsg", [fd.Name, Cut(bytes), flags]),
            3 => ("recv", [fd.Name, size, flags]),
            _ => ("recvfrom", [fd.Name, size, flags]),
        };
        Add(process, call, arguments);
        if (!flags.Contains("peek", StringComparison.Ordinal) && fd.UnreadSends > 0)
        {
            fd.UnreadSends--; // of the bytes nobody knows which went
        }

        fd.UnreadBytes = fd.UnreadSends == 0 ? 0 : fd.UnreadBytes;
    }

    /// <summary>A receive that waits, and later a datagram, an end or an error.</summary>
    private void BlockedDatagram()
    {
        if (Holder(fd => fd is { Kind: Kind.Datagram, UnreadSends: 0 } && fd.Bound.Length > 0) is not { } holder)
        {
            return;
        }

        (Process process, Fd fd) = holder;
        Add(process, "setfl", fd.Name, "-");
        Add(process, Pick("recv", "recvfrom"), fd.Name, Pick("0", "100", "100000"), Pick("-", "-", "waitall", "peek", "trunc"));
        if (Chance(25))
        {
            string end = Pick("shutdown", "sockname", "connect");
            Add(process, end, end == "sockname" ? [fd.Name] : [fd.Name, end == "connect" ? "unspec" : "rd"]);
            return;
        }

        if (Holder(other => other.Kind == Kind.Datagram && other != fd && other.Family == fd.Family) is { } sender)
        {
            string host = fd.Bound.Contains("/lo/", StringComparison.Ordinal) ? "lo" : fd.Host;
            Add(sender.Process, "sendto", sender.Fd.Name, Pick("0", "1", "100", "2048"), "-", $"{Family(fd.Family)}/{host}/{fd.Bound.Split('/')[2]}");
        }
    }
}
