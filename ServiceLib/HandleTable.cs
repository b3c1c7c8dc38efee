using System.Runtime.InteropServices;
using System.Security.Cryptography;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <summary>
/// The connections that were announced and that no guest has answered yet. A handle is an index with bits above it that start at random in every run and change with every
/// use of the entry, so that neither a handle of a dead NSM nor one that was answered before is mistaken for a new one.
/// </summary>
public sealed unsafe class HandleTable
{
    /// <summary>No entry.</summary>
    public const uint None = uint.MaxValue;

    private const int IndexBits = 18, ShardBits = 3;
    private const int ShardShift = IndexBits - ShardBits;
    private readonly uint _max;
    private readonly uint _shard;
    private readonly Entry* _entries;
    private const uint Stamps = (1u << (29 - IndexBits)) - 1; // the highest three bits are CoreEngine's
    private readonly uint _run;
    private uint _free = None;
    private uint _fresh;

    /// <summary>An empty table. Of several hosts of one NSM each has an eighth of the indices, so that a handle tells whose it is.</summary>
    public HandleTable(uint shard = 0, uint shards = 1)
    {
        _shard = shard << ShardShift;
        _max = shards > 1 ? 1u << ShardShift : 1u << IndexBits;
        nint space = Libc.Map(0, (nuint)_max * (nuint)sizeof(Entry), Libc.PROT_READ | Libc.PROT_WRITE,
            Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if (space == -1)
        {
            throw new OutOfMemoryException("no address space for the handle table");
        }

        _entries = (Entry*)space;
        _run = (uint)RandomNumberGenerator.GetInt32((int)Stamps);
    }

    /// <summary>Which of several hosts announced what a handle stands for.</summary>
    public static uint ShardOf(ulong handle) => (uint)handle >> ShardShift & ((1u << ShardBits) - 1);

    /// <summary>Enters a connection of a listener; 0 when the table is full.</summary>
    public uint Add(Connection* listener, ulong token)
    {
        uint index = _free;
        if (index != None)
        {
            _free = _entries[index].Next;
        }
        else if (_fresh < _max)
        {
            index = _fresh++;
        }
        else
        {
            return 0;
        }

        Entry* entry = &_entries[index];
        entry->Listener = listener;
        entry->Token = token;
        entry->Previous = None;
        entry->Next = listener->FirstHandle;
        if (listener->FirstHandle != None)
        {
            _entries[listener->FirstHandle].Previous = index;
        }

        listener->FirstHandle = index;
        listener->Announced++;
        return HandleOf(index);
    }

    /// <summary>Takes an entry out, if the handle is one of this run and belongs to the guest; null otherwise.</summary>
    public Connection* Take(ulong handle, uint guest, out ulong token)
    {
        uint index = ((uint)handle & ((1u << IndexBits) - 1)) - _shard;
        token = 0;
        if (index >= _fresh || handle != HandleOf(index))
        {
            return null;
        }

        Entry* entry = &_entries[index];
        Connection* listener = entry->Listener;
        if (listener == null || listener->GuestId != guest)
        {
            return null;
        }

        token = entry->Token;
        Remove(index);
        return listener;
    }

    /// <summary>Takes out any entry of the listener; false when it has none.</summary>
    public bool TakeAny(Connection* listener, out ulong token)
    {
        uint index = listener->FirstHandle;
        if (index == None)
        {
            token = 0;
            return false;
        }

        token = _entries[index].Token;
        Remove(index);
        return true;
    }

    private uint HandleOf(uint index) => ((((_run + _entries[index].Uses) % Stamps) + 1) << IndexBits) | _shard | index;

    private void Remove(uint index)
    {
        Entry* entry = &_entries[index];
        if (entry->Previous != None)
        {
            _entries[entry->Previous].Next = entry->Next;
        }
        else
        {
            entry->Listener->FirstHandle = entry->Next;
        }

        if (entry->Next != None)
        {
            _entries[entry->Next].Previous = entry->Previous;
        }

        entry->Listener->Announced--;
        entry->Listener = null;
        entry->Uses++;
        entry->Next = _free;
        _free = index;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        public Connection* Listener;
        public ulong Token;
        public uint Next;
        public uint Previous;
        public uint Uses;
    }
}
