namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <content>Single calls, on what suits them or on anything.</content>
internal sealed partial class Generator
{
    private (Process Process, Fd Fd)? AnySocket() => Holder(fd => fd.IsSocket);

    private void Socket()
    {
        Process process = AnyProcess();
        int family = Chance(65) ? 4 : 6;
        Fd fd = NewFd(process, Kind.Fresh, family);
        Add(process, "socket", fd.Name, Family(family), Chance(30) ? "stream+nonblock" : "stream");
    }

    private void Bind()
    {
        if ((Chance(70) ? Holder(fd => fd.Kind == Kind.Fresh) : AnySocket()) is { } holder)
        {
            holder.Fd.Bound = Address(Chance(95) ? holder.Fd.Family : 10 - holder.Fd.Family, holder.Fd.Host);
            Add(holder.Process, "bind", holder.Fd.Name, holder.Fd.Bound);
        }
    }

    private void Listen()
    {
        if ((Chance(70) ? Holder(fd => fd.Kind is Kind.Fresh && fd.Bound.Length > 0) : AnySocket()) is { } holder)
        {
            if (holder.Fd.Kind == Kind.Fresh && holder.Fd.Bound.Length > 0)
            {
                holder.Fd.Kind = Kind.Listener;
            }

            Add(holder.Process, "listen", holder.Fd.Name, Chance(20) ? "-1" : Backlog(holder.Fd));
        }
    }

    private void Connect()
    {
        if ((Chance(70) ? Holder(fd => fd.Kind == Kind.Fresh) : AnySocket()) is { } holder)
        {
            Fd? target = _fds.Find(fd => fd.Kind == Kind.Listener && fd.Family == holder.Fd.Family && Chance(50));
            string port = target?.Bound.Split('/')[2] ?? Port(), host = "";
            string address = Chance(5) ? "unspec" : Chance(5) ? Address(10 - holder.Fd.Family, holder.Fd.Host)
                : $"{Family(holder.Fd.Family)}/{host = target?.Host ?? Pick("A", "B", "lo")}/{port}";
            target ??= Owner(Kind.Listener, holder.Fd.Host, host, port);
            bool isLocal = target?.Host == holder.Fd.Host;
            if (target != null && (target.WaitsLocal ??= isLocal) != isLocal)
            {
                return;
            }

            Add(holder.Process, "connect", holder.Fd.Name, address);
            if (Chance(25))
            {
                Add(holder.Process, Pick("connect", "connect", "getopt"), holder.Fd.Name, _steps[^1].Call == "getopt" ? "SO_ERROR" : address);
            }
        }
    }

    private void Accept()
    {
        if ((Chance(90) ? Holder(fd => fd.Kind == Kind.Listener) : AnySocket()) is { } holder)
        {
            Fd fd = NewFd(holder.Process, Kind.Connected, holder.Fd.Family);
            Add(holder.Process, "accept", fd.Name, holder.Fd.Name, Pick("-", "plain", "nonblock", "cloexec"));
        }
    }

    private void Shut()
    {
        if ((Chance(80) ? Holder(fd => fd.Kind == Kind.Connected) : AnySocket()) is { } holder)
        {
            Add(holder.Process, "shutdown", holder.Fd.Name, Pick("rd", "wr", "wr", "rdwr", "bad"));
        }
    }

    private void Close()
    {
        if ((Chance(90) ? Holder(fd => fd.Kind != Kind.Closed) : Holder(_ => true)) is { } holder)
        {
            if (holder.Fd.IsSocket && Chance(25))
            {
                Add(holder.Process, "linger", holder.Fd.Name, "1", Pick("0", "0", "1"));
            }

            Add(holder.Process, "close", holder.Fd.Name);
            _ = Chance(90) && holder.Process.Fds.Remove(holder.Fd);
        }
    }

    private void SetOption()
    {
        if (AnySocket() is { } holder)
        {
            if (Chance(15))
            {
                Add(holder.Process, "linger", holder.Fd.Name, Pick("0", "1"), Pick("0", "1", "5"));
            }
            else
            {
                Add(holder.Process, "setopt", holder.Fd.Name, Pick(Options), Pick("0", "1", "1", "2", "5", "30", "-1", "100000"), Pick("4", "4", "4", "4", "1", "0"));
            }
        }
    }

    private void GetOption()
    {
        if (AnySocket() is { } holder)
        {
            string option = Chance(50) ? Pick(Options) : Pick(Answers);
            Add(holder.Process, "getopt", holder.Fd.Name, option == "TCP_QUICKACK" ? "TCP_NODELAY" : option, Pick("64", "4", "4", "1", "0", option == "TCP_INFO" ? "200" : "255"));
        }
    }

    private void Wait()
    {
        Process process = AnyProcess();
        if (process.Fds.Count == 0)
        {
            return;
        }

        if (Chance(30))
        {
            Add(process, "select", string.Join(',', Some(process).Distinct()), "0");
            return;
        }

        Add(process, "poll", string.Join(',', Some(process).Select(name => name + ":" + Pick("IN", "OUT", "IN+OUT", "RDHUP", "IN+RDHUP", "PRI", "RDNORM+WRNORM", "-"))), "0");
    }

    private List<string> Some(Process process) => [.. Enumerable.Range(0, _random.Next(1, 5)).Select(_ => Pick(process.Fds).Name)];

    private void UseEpoll()
    {
        if (Holder(fd => fd.Kind == Kind.Epoll) is not { } set || Chance(10))
        {
            Process process = AnyProcess();
            Add(process, "epnew", NewFd(process, Kind.Epoll, 4).Name, Pick("-", "cloexec"));
            return;
        }

        Fd member = Pick(set.Process.Fds);
        if (Chance(55))
        {
            string events = Pick("IN", "OUT", "IN+OUT", "IN+ET", "IN+OUT+ET", "IN+RDHUP", "IN+ONESHOT", "IN+OUT+RDHUP+ET+ONESHOT", "-", "RDHUP", "IN+EXCLUSIVE");
            Add(set.Process, "epctl", set.Fd.Name, Pick("add", "add", "add", "mod", "mod", "del", "bad"), member.Name, events);
            return;
        }

        Add(set.Process, "epwait", set.Fd.Name, Pick("1", "2", "10", "10", "10", "0"), "0");
    }

    private void Duplicate()
    {
        if (Holder(fd => fd.Kind != Kind.Closed) is not { } holder)
        {
            return;
        }

        (Process process, Fd fd) = holder;
        if (Chance(35))
        {
            Fd over = Pick(process.Fds);
            Add(process, "dup2", over.Name, fd.Name, Pick("-", "-", "cloexec"));
            return;
        }

        Fd copy = NewFd(process, fd.Kind, fd.Family);
        (copy.Bound, copy.Peer, copy.PeerIsLocal, copy.IsOnLoopback6) = (fd.Bound, fd.Peer, fd.PeerIsLocal, fd.IsOnLoopback6);
        if (Chance(60))
        {
            Add(process, "dup", copy.Name, fd.Name);
        }
        else
        {
            Add(process, "fdup", copy.Name, fd.Name, Pick("0", "20", "100"));
        }
    }

    private void Fork()
    {
        Process parent = AnyProcess();
        if (_processes.Count >= 6)
        {
            return;
        }

        var child = new Process($"p{Family(_processes.Count)}", parent.Host);
        child.Fds.AddRange(parent.Fds.Where(fd => fd.Kind != Kind.Epoll));
        Add(parent, "fork", child.Name);
        _processes.Add(child);
    }

    private void End()
    {
        if (_processes.Count(process => process.Alive) > 1)
        {
            Process process = AnyProcess();
            process.Alive = false;
            Add(process, Pick("exit", "kill"));
        }
    }

    private void Names()
    {
        if (AnySocket() is { } holder)
        {
            Add(holder.Process, Pick("sockname", "peername"), holder.Fd.Name);
        }
    }

    private void Mode()
    {
        if (Holder(_ => true) is not { } holder)
        {
            return;
        }

        switch (_random.Next(5))
        {
            case 0:
                Add(holder.Process, "getfl", holder.Fd.Name);
                break;
            case 1:
                Add(holder.Process, "setfl", holder.Fd.Name, Pick("nonblock", "-"));
                break;
            case 2:
                Add(holder.Process, "ioctl", holder.Fd.Name, "nbio", Pick("0", "1"));
                break;
            case 3:
                Add(holder.Process, "ioctl", holder.Fd.Name, Pick("nread", "outq"));
                break;
            default:
                Add(holder.Process, "getfl", holder.Fd.Name);
                break;
        }
    }

    /// <summary>Any call on any fd, closed ones too.</summary>
    private void Wild()
    {
        Process process = AnyProcess();
        string name = Chance(90) && process.Fds.Count > 0 ? Pick(process.Fds).Name : "s" + Number(1, 12);
        switch (_random.Next(9))
        {
            case 0:
                Add(process, "recv", name, Size(), "dontwait" + Pick("", "+oob", "+peek", "+trunc", "+peek+trunc"));
                break;
            case 1:
                Add(process, "send", name, Pick("0", "1", "50"), "dontwait+nosignal" + Pick("", "+dontroute"));
                break;
            case 2:
                Add(process, "listen", name, "3");
                break;
            case 3:
                Add(process, "accept", NewFd(process, Kind.Connected, 4).Name, name, Pick("nonblock", "dgram"));
                break;
            case 4:
                Add(process, "shutdown", name, Pick("rd", "wr", "rdwr"));
                break;
            case 5:
                Add(process, "getopt", name, Pick("NONE", "TCP_INFO", "SO_ERROR"), "8");
                break;
            case 6:
                Add(process, "ioctl", name, Pick("nread", "outq"));
                break;
            case 7:
                Add(process, "sigpipe", Pick("dfl", "ign"));
                break;
            default:
                Add(process, Pick("sockname", "peername", "getfl", "close"), name);
                break;
        }
    }
}
