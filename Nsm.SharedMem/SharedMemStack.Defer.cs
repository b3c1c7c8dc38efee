namespace NetKernel.Nsm.SharedMem;

/// <content>
/// TCP_DEFER_ACCEPT (tcp(7)): a connection is its client's alone until that one has sent something or ended its data, or the listener's time is up. Meanwhile it takes no place in the
/// backlog; if it is reset nobody hears of it.
/// </content>
public sealed unsafe partial class SharedMemStack
{
    /// <summary>As many seconds as the kernel would repeat its SYN-ACK at the most.</summary>
    private const int LongestDefer = 255 * 120;

    private static bool IsDeferred(SharedSocket* client) => client->Embryo != null && client->Embryo->Listener != null;

    private void Defer(SharedSocket* listener, Embryo* e)
    {
        e->Listener = listener;
        e->Next = listener->FirstDeferred;
        if (e->Next != null)
        {
            e->Next->Previous = e;
        }

        listener->FirstDeferred = e;
        SetTime(e->Client, Math.Min(listener->Options.DeferAccept, LongestDefer) * Second);
    }

    /// <summary>A client's turn: what it brings is what its listener waits for.</summary>
    private void Ripen(SharedSocket* client)
    {
        if (IsDeferred(client)
            && (client->Self->SendCount != 0 || client->Has(SharedFlags.ShutdownWanted) || (client->Self->Has(ServiceLib.ConnectionFlags.Closing) && !client->Has(SharedFlags.Abort))))
        {
            Release(client->Embryo);
        }
    }

    /// <summary>Puts a connection that was kept back into the accept queue.</summary>
    private void Release(Embryo* e)
    {
        SharedSocket* listener = e->Listener;
        Undefer(e);
        Queue(listener, e);
    }

    private void Undefer(Embryo* e)
    {
        if (e->Previous != null)
        {
            e->Previous->Next = e->Next;
        }
        else
        {
            e->Listener->FirstDeferred = e->Next;
        }

        if (e->Next != null)
        {
            e->Next->Previous = e->Previous;
        }

        e->Listener = null;
        e->Next = e->Previous = null;
        ClearTime(e->Client);
    }
}
