using System.Numerics;

namespace NetKernel.CoreEngine;

/// <summary>
/// What a guest may have done before the others' turn comes: deficit round-robin (Shreedhar and Varghese, 1995) over the guests that have something to do, counted in what a request costs
/// those who serve it, whatever number of queue sets it comes from. And no guest fills an NSM's rings, which are served in order: of its requests only so many may wait there. Nothing is
/// lost to a guest that is alone.
/// </summary>
internal sealed unsafe partial class SwitchLoop
{
    private const int Quantum = 64; // units for a turn beside others
    private const int QuantumAlone = 1024;
    private const int LooksPerTurn = 32; // queue sets, whether they hold anything or not: each costs two lines that another core has written
    private const int HalfWindow = 128; // units after which it is looked how far the NSMs have come; twice that may wait there

    private int _guestCount;

    /// <summary>
    /// What a request costs those who serve it, in units of about a forwarded Send: for requests that become system calls where they are taken from the ring, rather than later in the
    /// connection's turn.
    /// </summary>
    private static int CostOf(Op op) => op switch
    {
        Op.Connect => 24,
        Op.Close => 12,
        Op.Socket or Op.Bind or Op.Listen or Op.Accept or Op.Decline => 8,
        Op.SetOption or Op.GetOption or Op.Shutdown => 2,
        _ => 1,
    };

    /// <summary>Begins a guest's turn: its budget, from which debts of the last turn are paid.</summary>
    private void BeginTurn(GuestPort guest)
    {
        if (_guestCount <= 1)
        {
            guest.Budget = QuantumAlone;
            guest.Unseen = 0;
            guest.UnseenAsked = 0;
            return;
        }

        guest.Budget = Math.Min(guest.Budget, 0) + Quantum;
        if ((guest.Unseen >= HalfWindow || guest.UnseenAsked >= AskWindow) && !MoveWindow(guest))
        {
            _stalled = true;
        }

        guest.Budget = Math.Min(guest.Budget, HalfWindow - guest.Unseen);
    }

    private static void Spend(GuestPort guest, int cost)
    {
        guest.Budget -= cost;
        guest.Unseen += cost;
    }

    /// <summary>Whether the NSMs have taken all that was there when the window was last moved; then it is moved to what is there now.</summary>
    private bool MoveWindow(GuestPort guest)
    {
        for (ulong rest = guest.MarkedNsms; rest != 0; rest &= rest - 1)
        {
            int id = BitOperations.TrailingZeroCount(rest);
            if (_nsms[id] is { Broken: false } nsm && !(nsm.Job.HasConsumed(guest.JobMarks[id]) && nsm.Send.HasConsumed(guest.SendMarks[id])))
            {
                return false;
            }
        }

        guest.MarkedNsms = guest.StagedNsms;
        guest.StagedNsms = 0;
        guest.Unseen = 0;
        guest.UnseenAsked = 0;
        for (ulong rest = guest.MarkedNsms; rest != 0; rest &= rest - 1)
        {
            int id = BitOperations.TrailingZeroCount(rest);
            if (_nsms[id] is { } nsm)
            {
                guest.JobMarks[id] = nsm.Job.Position;
                guest.SendMarks[id] = nsm.Send.Position;
            }
        }

        return true;
    }
}
