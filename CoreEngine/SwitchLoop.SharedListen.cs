using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>Listening at both: the guest's own NSM and the shared-memory NSM.</content>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Connections that the shared-memory NSM may have announced for one listener.</summary>
    private const uint AnnouncedShared = SocketSlot.AcceptEntries / 4;

    /// <summary>A listener listens at the shared-memory NSM, too.</summary>
    private void Shadow(GuestPort guest, uint id, Connection* connection)
    {
        SocketMemory* memory = Memory(id, connection);
        if (guest.Shared is not { Broken: false } shared || memory->Bind.Op != Op.Bind || shared.Job.Free(TrialRequests) < TrialRequests)
        {
            return; // served by the guest's own NSM alone
        }

        uint q = connection->QueueSet;
        if (connection->Twin == 0)
        {
            if (!TrySecond(guest, id, connection, out _))
            {
                return;
            }

            Nqe bind = memory->Bind;
            _ = Forward(guest, q, connection->Twin - 1, &bind, job: true);
        }

        Nqe listen = default;
        listen.Op = Op.Listen;
        listen.OpData = memory->Backlog;
        listen.Size = AnnouncedShared;
        _ = Forward(guest, q, connection->Twin - 1, &listen, job: true);
    }

    /// <summary>shutdown(2) of a socket with two entries: a connect is given up where it is under way, a listener stops at both.</summary>
    private bool ShutdownBoth(GuestPort guest, Nqe* e, uint id, Connection* connection)
    {
        const ulong SHUT_WR = 1;
        if (connection->Twin != 0 && _table.Items[connection->Twin - 1].Control == Op.Connect)
        {
            TellTwin(guest, connection, e);
            return true;
        }

        if (!Forward(guest, connection->QueueSet, id, e, job: false))
        {
            return false;
        }

        if ((connection->Flags & ConnectionFlags.Listening) != 0 && e->OpData != SHUT_WR)
        {
            DropTwin(connection);
            DropElder(connection);
        }

        return true;
    }
}
