using System.Runtime.CompilerServices;

namespace NetKernel.GuestLib.Names;

/// <summary>What became of an answer.</summary>
internal enum Outcome
{
    Found,

    /// <summary>An empty answer.</summary>
    NoData,

    /// <summary>Records, but none that helps.</summary>
    Useless,

    /// <summary>It does not follow the rules of the protocol.</summary>
    Broken,

    /// <summary>The name that was asked for cannot be a host's.</summary>
    NotHost,

    /// <summary>The caller's buffer is too small.</summary>
    NoRoom,
}

/// <summary>The caller's buffer, given out piece by piece.</summary>
internal unsafe struct Arena(byte* start, nuint length)
{
    private byte* _at = start;
    private nuint _left = length;

    /// <summary>Memory aligned to 8 bytes, or null when there is not enough.</summary>
    internal byte* Take(nuint bytes)
    {
        nuint pad = (nuint)(-(nint)_at) & 7;
        if (_left < pad || _left - pad < bytes)
        {
            return null;
        }

        byte* taken = _at + pad;
        _at = taken + bytes;
        _left -= pad + bytes;
        return taken;
    }

    /// <summary>A copy of a string, or null.</summary>
    internal byte* Copy(byte* text, int length)
    {
        byte* copy = Take((nuint)length + 1);
        if (copy != null)
        {
            Unsafe.CopyBlockUnaligned(copy, text, (uint)length + 1);
        }

        return copy;
    }
}

/// <summary>
/// The addresses in an answer, and the names that lead to them. Aliases are followed in the order of the records, each from the name that the last
/// one led to, so that a loop ends with the records and a record of another name counts for nothing.
/// </summary>
internal unsafe struct HostRecords
{
    private readonly byte* _message;
    private readonly int _length;
    private readonly int _type;
    private DnsAnswers _answers;

    internal HostRecords(byte* message, int length, int type)
    {
        _message = message;
        _length = length;
        _type = type;
        _answers = new DnsAnswers(message, length);
        Ttl = uint.MaxValue;
    }

    /// <summary>The shortest time to live seen.</summary>
    internal uint Ttl { get; private set; }

    internal bool IsBroken { get; private set; }

    /// <summary>
    /// The next address or pointer. <paramref name="name"/>, of <see cref="DnsName.MaxWire"/> bytes, is the name that it belongs to; it starts as the
    /// one that was asked for, and changes with each alias.
    /// <paramref name="alias"/> is true when not a record but another name was found: the old one is then in <paramref name="old"/>.
    /// </summary>
    internal bool Next(byte* name, byte* old, out bool alias, out byte* data, out int dataLength)
    {
        alias = false;
        data = null;
        dataLength = 0;
        byte* owner = stackalloc byte[DnsName.MaxWire];
        while (!IsBroken && _answers.Next(out DnsRecord record))
        {
            if (record.Class != DnsMessage.ClassIn || (record.Type != _type && record.Type != DnsMessage.TypeCname))
            {
                continue;
            }

            if (DnsName.Unpack(_message, _length, record.Owner, owner) < 0)
            {
                IsBroken = true;
                return false;
            }

            if (!DnsName.Same(owner, name))
            {
                continue;
            }

            Ttl = record.Ttl < Ttl ? record.Ttl : Ttl;
            if (record.Type == _type)
            {
                data = _message + record.Data;
                dataLength = record.DataLength;
                return true;
            }

            int bytes = DnsName.Unpack(_message, _length, record.Data, owner);
            if (bytes < 0)
            {
                IsBroken = true;
                return false;
            }

            Unsafe.CopyBlockUnaligned(old, name, DnsName.MaxWire);
            Unsafe.CopyBlockUnaligned(name, owner, (uint)bytes);
            alias = true;
            return true;
        }

        IsBroken |= _answers.IsBroken;
        return false;
    }

    /// <summary>The name in a record's data, as after <see cref="Next"/>; false when it is none.</summary>
    internal readonly bool NameIn(byte* data, byte* name) => DnsName.Unpack(_message, _length, (int)(data - _message), name) >= 0;
}
