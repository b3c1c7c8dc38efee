using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.CoreEngine;

/// <summary>
/// A stack that runs in this loop: attached like any NSM, by rings and the local socket, but turned by the loop's own thread, between what it takes from the guests and what
/// it gives them. One process less to wake and to wait for (docs/adr/0007).
/// </summary>
internal sealed unsafe partial class SwitchLoop
{
    private const ulong ModuleTag = 4ul << 32;

    private StackHost? _module;
    private bool _moduleFds;

    /// <summary>Takes a stack in. Only where there is one loop: a stack belongs to one thread.</summary>
    public void TakeIn(StackHost host)
    {
        _module = host;
        _moduleFds = true;
        Libc.EpollEvent e = new() { Events = Libc.EPOLLIN, Data = ModuleTag };
        _ = Libc.EpollControl(_epoll, Libc.EPOLL_CTL_ADD, host.Epoll, &e);
    }

    /// <summary>Hands over what the guests have asked for, lets the stack work, and takes its answers; true when there was anything.</summary>
    private bool TurnModule()
    {
        if (_module is not { IsOver: false } host)
        {
            return false;
        }

        NsmPort? port = _nsms[SharedNsm];
        if (port != null && (port.JobStaged | port.SendStaged))
        {
            _ = Publish(port);
            port.JobStaged = false;
            port.SendStaged = false;
        }

        if (_moduleFds)
        {
            host.PollSoon();
        }

        uint work = host.Turn(_moduleFds);
        _moduleFds = false;
        bool moved = port != null && DrainNsm(port);
        return moved | work != 0;
    }

    /// <summary>Whether a port is that of the stack in this loop: it needs no bell and is always polled.</summary>
    private bool IsModule(NsmPort nsm) => _module != null && nsm.Id == SharedNsm;
}
