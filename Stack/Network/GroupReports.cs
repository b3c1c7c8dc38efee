namespace NetKernel.Stack;

/// <summary>
/// Reports of the solicited-node groups (RFC 3810, MLDv2; RFC 2710 for a router that asks in the old form). IPv4 has none: ARP is broadcast, and no other group is joined.
/// </summary>
/// <remarks>The source is the unspecified address, as this stack has none that is link-local (RFC 3810, 5.2.13; RFC 3590).</remarks>
internal sealed unsafe class GroupReports(NetworkStack stack)
{
    /// <summary>Types of a record (RFC 3810, 5.2.12).</summary>
    public const byte IsExclude = 2, ChangeToExclude = 4;

    /// <summary>RFC 3810, 5.2: what an IPv6 packet of the least MTU holds.</summary>
    private const int RecordBytes = 20, Header = 8, MostRecords = 60;

    private readonly byte[] _records = new byte[Header + (MostRecords * RecordBytes)];
    private int _count;

    /// <summary>The solicited-node group of an address, ff02::1:ffXX:XXXX (RFC 4291, 2.7.1).</summary>
    public static Address GroupOf(in Address address) => new(0x02FF, 0x0000_00FF_0100_0000 | (address.High & 0xFFFF_FF00_0000_0000));

    /// <summary>Adds a record; the report goes with <see cref="Flush"/>, or when it is full.</summary>
    public void Put(in Address address, byte type)
    {
        fixed (byte* p = &_records[Header + (_count * RecordBytes)])
        {
            p[0] = type;
            p[1] = p[2] = p[3] = 0;
            _ = Wire.Put(p + 4, GroupOf(address));
        }

        if (++_count == MostRecords)
        {
            Flush();
        }
    }

    /// <summary>Sends what was added, to all routers that know MLDv2 (ff02::16).</summary>
    public void Flush()
    {
        if (_count == 0)
        {
            return;
        }

        fixed (byte* p = _records)
        {
            *(ulong*)p = 0;
            p[0] = Icmpv6Type.ReportV2;
            Wire.U16(p + 6, (uint)_count);
            stack.SendReport(new Address(0x02FF, 0x1600_0000_0000_0000), p, (uint)(Header + (_count * RecordBytes)));
        }

        _count = 0;
    }

    /// <summary>A report in the old form, to the group itself (RFC 2710, 3).</summary>
    public void SendOld(in Address address)
    {
        Address group = GroupOf(address);
        byte* p = stackalloc byte[24];
        *(ulong*)p = 0;
        p[0] = Icmpv6Type.ReportV1;
        _ = Wire.Put(p + 8, group);
        stack.SendReport(group, p, 24);
    }
}
