using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>
/// Tells the link which addresses are here: unasked ARP and advertisements when one is new, so that neighbours forget who had it before (RFC 5227, 2.3; RFC 4861, 7.2.6), and reports of
/// the groups that its solicitations go to, so that bridges which watch memberships let them through (<see cref="GroupReports"/>).
/// </summary>
internal sealed unsafe class AddressAnnouncer : IDisposable
{
    /// <summary>RFC 5227, 1.1: ANNOUNCE_NUM, ANNOUNCE_INTERVAL; RFC 4861, 10: MAX_NEIGHBOR_ADVERTISEMENT, RetransTimer.</summary>
    private const int Times4 = 2, Times6 = 3;
    private const long Interval4 = 2_000_000, Interval6 = 1_000_000;

    /// <summary>RFC 3810, 9.1: how often a new membership is told.</summary>
    private const int Robustness = 2;

    private readonly NetworkStack _stack;
    private readonly GroupReports _reports;
    private readonly Timer* _timer = (Timer*)NativeMemory.AllocZeroed((nuint)sizeof(Timer));
    private Entry[] _entries = new Entry[16];
    private int _count;
    private long _answerAt = long.MaxValue;
    private bool _answerOld;

    public AddressAnnouncer(NetworkStack stack)
    {
        _stack = stack;
        _reports = new GroupReports(stack);
    }

    /// <summary>Control path: may grow the table. What is to be said goes with the next turn.</summary>
    public void Add(in Address address)
    {
        Remove(address);
        if (_count == _entries.Length)
        {
            Array.Resize(ref _entries, _count * 2);
        }

        _entries[_count++] = new Entry { Address = address, Due = _stack.Now, Left = address.IsV4 ? Times4 : Times6 };
        Arm();
    }

    public void Remove(in Address address)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_entries[i].Address == address)
            {
                _entries[i] = _entries[--_count];
                return;
            }
        }
    }

    public bool Owns(Timer* timer) => timer == _timer;

    /// <summary>The timer has fired.</summary>
    public void Fired()
    {
        // Memberships first: a bridge that drops what nobody asked for should know before others ask back.
        for (int i = 0; i < _count; i++)
        {
            ref Entry e = ref _entries[i];
            if (IsDue(e) && !e.Address.IsV4 && Times6 - e.Left < Robustness)
            {
                _reports.Put(e.Address, GroupReports.ChangeToExclude);
            }
        }

        _reports.Flush();
        for (int i = 0; i < _count; i++)
        {
            ref Entry e = ref _entries[i];
            if (IsDue(e))
            {
                e.Left--;
                e.Due = _stack.Now + (e.Address.IsV4 ? Interval4 : Interval6);
                _stack.Announce(e.Address);
            }
        }

        if (_answerAt <= _stack.Now)
        {
            _answerAt = long.MaxValue;
            Answer();
        }

        Arm();
    }

    /// <summary>
    /// A router asks for memberships (RFC 3810, 5.1 and 6.2; RFC 2710, 3). All are told, once, within the time it allows.
    /// </summary>
    public void Query(in Address group, bool old, long within)
    {
        if (!group.IsNone && !Has(group))
        {
            return;
        }

        long at = _stack.Now + (within <= 0 ? 0 : (long)(_stack.Random.Next() % (ulong)within));
        _answerAt = Math.Min(_answerAt, at);
        _answerOld = old;
        Arm();
    }

    public void Dispose() => NativeMemory.Free(_timer);

    private bool IsDue(in Entry e) => e.Left != 0 && e.Due <= _stack.Now;

    private bool Has(in Address group)
    {
        for (int i = 0; i < _count; i++)
        {
            if (!_entries[i].Address.IsV4 && GroupReports.GroupOf(_entries[i].Address) == group)
            {
                return true;
            }
        }

        return false;
    }

    private void Answer()
    {
        for (int i = 0; i < _count; i++)
        {
            if (_entries[i].Address.IsV4)
            {
                continue;
            }

            if (_answerOld)
            {
                _reports.SendOld(_entries[i].Address);
            }
            else
            {
                _reports.Put(_entries[i].Address, GroupReports.IsExclude);
            }
        }

        _reports.Flush();
    }

    private void Arm()
    {
        long next = _answerAt;
        for (int i = 0; i < _count; i++)
        {
            next = _entries[i].Left != 0 ? Math.Min(next, _entries[i].Due) : next;
        }

        if (next != long.MaxValue)
        {
            _stack.Wheel.Set(_timer, next);
        }
    }

    private struct Entry
    {
        public Address Address;
        public long Due;
        public int Left;
    }
}
