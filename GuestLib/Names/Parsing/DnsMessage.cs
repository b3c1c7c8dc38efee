namespace NetKernel.GuestLib.Names;

/// <summary>The parts of a DNS message that a resolver looks at (RFC 1035 section 4.1; RFC 6891 for the OPT record).</summary>
internal static unsafe class DnsMessage
{
    internal const int HeaderLength = 12, MaxLength = 65535;

    /// <summary>What fits into a datagram without EDNS (RFC 1035 section 2.3.4).</summary>
    internal const int MaxPlainDatagram = 512;

    internal const int TypeA = 1, TypeCname = 5, TypePtr = 12, TypeAaaa = 28, TypeOpt = 41, ClassIn = 1;

    internal const int NoError = 0, FormErr = 1, ServFail = 2, NxDomain = 3, NotImp = 4, Refused = 5;

    private const int QrBit = 0x80, AaBit = 4, TcBit = 2, RaBit = 0x80, AdBit = 0x20;
    private const int OptLength = 11;

    internal static int Get16(byte* at) => (at[0] << 8) | at[1];

    internal static uint Get32(byte* at) => ((uint)Get16(at) << 16) | (uint)Get16(at + 2);

    internal static void Put16(byte* at, int value)
    {
        at[0] = (byte)(value >> 8);
        at[1] = (byte)value;
    }

    internal static int Id(byte* message) => Get16(message);

    internal static int ResponseCode(byte* message) => message[3] & 15;

    internal static int Questions(byte* message) => Get16(message + 4);

    internal static int Answers(byte* message) => Get16(message + 6);

    internal static bool IsTruncated(byte* message) => (message[2] & TcBit) != 0;

    internal static void SetTruncated(byte* message) => message[2] |= TcBit;

    /// <summary>Takes away the server's word that it has checked signatures.</summary>
    internal static void ClearAuthentic(byte* message) => message[3] &= unchecked((byte)~AdBit);

    /// <summary>An answer without data from a server that neither knows the zone nor asks for us: the next server may know more.</summary>
    internal static bool IsReferral(byte* message) =>
        ResponseCode(message) == NoError && Answers(message) == 0 && (message[2] & AaBit) == 0 && (message[3] & RaBit) == 0 && Get16(message + 10) == 0;

    /// <summary>Whether a message answers a query: its number, that it is an answer, and the same question.</summary>
    internal static bool IsAnswerTo(byte* query, int queryLength, byte* message, int length)
    {
        if (length < HeaderLength || queryLength < HeaderLength || Id(query) != Id(message) || (message[2] & QrBit) == 0)
        {
            return false;
        }

        int questions = Questions(query);
        if (questions != Questions(message))
        {
            return false;
        }

        byte* asked = stackalloc byte[DnsName.MaxWire];
        byte* told = stackalloc byte[DnsName.MaxWire];
        int a = HeaderLength;
        int b = HeaderLength;
        for (; questions > 0; questions--)
        {
            if (DnsName.Unpack(query, queryLength, a, asked) < 0 || DnsName.Unpack(message, length, b, told) < 0 || !DnsName.Same(asked, told))
            {
                return false;
            }

            a = DnsName.Skip(query, queryLength, a) + 4;
            b = DnsName.Skip(message, length, b) + 4;
            if (a > queryLength || b > length || Get32(query + a - 4) != Get32(message + b - 4))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether it is the header alone, from a server that did not understand so much as the question.</summary>
    internal static bool IsBareErrorFor(byte* query, byte* message, int length) =>
        length >= HeaderLength && Id(query) == Id(message) && (message[2] & QrBit) != 0 && Questions(message) == 0
        && ResponseCode(message) is FormErr or NotImp;

    /// <summary>Adds an OPT record that offers to take datagrams of <paramref name="payload"/> bytes; the query's new length, or the old one without room.</summary>
    internal static int AddOpt(byte* query, int length, int room, int payload, bool dnssec)
    {
        if (room - length < OptLength)
        {
            return length;
        }

        byte* opt = query + length;
        for (int i = 0; i < OptLength; i++)
        {
            opt[i] = 0;
        }

        Put16(opt + 1, TypeOpt);
        Put16(opt + 3, payload);
        Put16(opt + 7, dnssec ? 0x8000 : 0);
        Put16(query + 10, Get16(query + 10) + 1);
        return length + OptLength;
    }
}

/// <summary>One resource record, by offsets into its message.</summary>
internal struct DnsRecord
{
    internal int Owner;
    internal int Type;
    internal int Class;
    internal uint Ttl;
    internal int Data;
    internal int DataLength;
}

/// <summary>Walks over the answer section.</summary>
internal unsafe struct DnsAnswers
{
    private readonly byte* _message;
    private readonly int _length;
    private int _at;
    private int _left;

    internal DnsAnswers(byte* message, int length)
    {
        _message = message;
        _length = length;
        _left = length < DnsMessage.HeaderLength ? 0 : DnsMessage.Answers(message);
        _at = DnsMessage.HeaderLength;
        int questions = length < DnsMessage.HeaderLength ? 0 : DnsMessage.Questions(message);
        for (int i = 0; i < questions && _at >= 0; i++)
        {
            _at = DnsName.Skip(message, length, _at);
            _at = _at < 0 || _at + 4 > length ? -1 : _at + 4;
        }

        IsBroken = _at < 0 || length < DnsMessage.HeaderLength;
    }

    /// <summary>The message ends in the middle of something.</summary>
    internal bool IsBroken { get; private set; }

    /// <summary>The next record; false at the end, and when the message is broken.</summary>
    internal bool Next(out DnsRecord record)
    {
        record = default;
        if (IsBroken || _left == 0)
        {
            return false;
        }

        record.Owner = _at;
        int at = DnsName.Skip(_message, _length, _at);
        if (at < 0 || at + 10 > _length)
        {
            IsBroken = true;
            return false;
        }

        record.Type = DnsMessage.Get16(_message + at);
        record.Class = DnsMessage.Get16(_message + at + 2);
        record.Ttl = DnsMessage.Get32(_message + at + 4);
        record.DataLength = DnsMessage.Get16(_message + at + 8);
        record.Data = at + 10;
        if (record.Data + record.DataLength > _length)
        {
            IsBroken = true;
            return false;
        }

        _at = record.Data + record.DataLength;
        _left--;
        return true;
    }
}
