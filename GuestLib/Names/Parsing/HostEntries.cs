using System.Runtime.InteropServices;

namespace NetKernel.GuestLib.Names;

/// <summary>struct hostent of netdb.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct HostEntry
{
    internal byte* Name;
    internal byte** Aliases;
    internal int Family;
    internal int Length;
    internal byte** Addresses;
}

/// <summary>struct gaih_addrtuple of nss.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct AddressTuple
{
    internal AddressTuple* Next;
    internal byte* Name;
    internal int Family;
    internal fixed byte Address[16];
    internal uint Scope;
}

/// <summary>Turns answers into what the C library wants of a name service, all of it in the caller's buffer.</summary>
internal static unsafe class HostEntries
{
    internal const int InternetFamily = 2, Internet6Family = 10;

    private const int NamePointer = DnsMessage.HeaderLength;

    /// <summary>
    /// Adds the addresses of one answer to a list. <paramref name="link"/> is where the next tuple hangs; the first may be the caller's. The first tuple of all
    /// carries the canonical name.
    /// </summary>
    internal static Outcome AddTuples(byte* message, int length, int type, ref Arena arena, ref AddressTuple** link, ref bool first, ref uint ttl)
    {
        byte* name = stackalloc byte[DnsName.MaxWire];
        byte* host = stackalloc byte[DnsName.MaxWire];
        byte* old = stackalloc byte[DnsName.MaxWire];
        Outcome outcome = Count(message, length, type, name, old, out _, out _);
        if (outcome != Outcome.Found)
        {
            return outcome;
        }

        _ = Asked(message, length, name);
        Copy(host, name);
        HostRecords records = new(message, length, type);
        while (records.Next(name, old, out bool alias, out byte* data, out int dataLength))
        {
            if (alias)
            {
                if (DnsName.IsHost(name))
                {
                    Copy(host, name);
                }

                continue;
            }

            if (dataLength != BytesOf(type))
            {
                continue;
            }

            AddressTuple* tuple = *link;
            if (tuple == null && (tuple = (AddressTuple*)arena.Take((nuint)sizeof(AddressTuple))) == null)
            {
                return Outcome.NoRoom;
            }

            byte* canonical = first ? Text(host, ref arena) : null;
            if (first && canonical == null)
            {
                return Outcome.NoRoom;
            }

            *tuple = default;
            tuple->Name = canonical;
            tuple->Family = FamilyOf(type);
            for (int i = 0; i < dataLength; i++)
            {
                tuple->Address[i] = data[i];
            }

            first = false;
            *link = tuple;
            link = &tuple->Next;
        }

        ttl = records.Ttl < ttl ? records.Ttl : ttl;
        return Outcome.Found;
    }

    /// <summary>Fills an entry with the addresses of an answer, the name that they belong to, and the aliases that led there.</summary>
    internal static Outcome Fill(byte* message, int length, int type, ref Arena arena, HostEntry* entry, out uint ttl)
    {
        byte* name = stackalloc byte[DnsName.MaxWire];
        byte* host = stackalloc byte[DnsName.MaxWire];
        byte* old = stackalloc byte[DnsName.MaxWire];
        ttl = 0;
        Outcome outcome = Count(message, length, type, name, old, out int addresses, out int aliases);
        if (outcome != Outcome.Found)
        {
            return outcome;
        }

        int want = BytesOf(type);
        entry->Family = FamilyOf(type);
        entry->Length = want;
        entry->Addresses = (byte**)arena.Take((nuint)((addresses + 1) * sizeof(byte*)));
        entry->Aliases = (byte**)arena.Take((nuint)((aliases + 1) * sizeof(byte*)));
        byte* bytes = arena.Take((nuint)(addresses * want));
        if (entry->Addresses == null || entry->Aliases == null || bytes == null)
        {
            return Outcome.NoRoom;
        }

        _ = Asked(message, length, name);
        if (!DnsName.IsHost(name))
        {
            return Outcome.NotHost;
        }

        Copy(host, name);
        byte** address = entry->Addresses;
        byte** alias = entry->Aliases;
        HostRecords records = new(message, length, type);
        while (records.Next(name, old, out bool isAlias, out byte* data, out int dataLength))
        {
            if (isAlias && DnsName.IsHost(name))
            {
                if ((*alias++ = Text(host, ref arena)) == null)
                {
                    return Outcome.NoRoom;
                }

                Copy(host, name);
            }
            else if (!isAlias && dataLength == want)
            {
                for (int i = 0; i < want; i++)
                {
                    bytes[i] = data[i];
                }

                *address++ = bytes;
                bytes += want;
            }
        }

        *address = null;
        *alias = null;
        entry->Name = Text(host, ref arena);
        ttl = records.Ttl;
        return entry->Name == null ? Outcome.NoRoom : Outcome.Found;
    }

    /// <summary>Fills an entry from the answer to the question whose name an address is.</summary>
    internal static Outcome FillPointer(
        byte* message, int length, byte* address, int addressLength, int family, ref Arena arena, HostEntry* entry, out uint ttl)
    {
        byte* name = stackalloc byte[DnsName.MaxWire];
        byte* old = stackalloc byte[DnsName.MaxWire];
        ttl = 0;
        if (!Asked(message, length, name))
        {
            return Outcome.Broken;
        }

        HostRecords records = new(message, length, DnsMessage.TypePtr);
        while (records.Next(name, old, out bool alias, out byte* data, out _))
        {
            if (alias)
            {
                continue;
            }

            if (!records.NameIn(data, old) || !DnsName.IsHost(old) || old[0] == 0)
            {
                return Outcome.Broken;
            }

            entry->Family = family;
            entry->Length = addressLength;
            entry->Addresses = (byte**)arena.Take((nuint)(2 * sizeof(byte*)));
            entry->Aliases = (byte**)arena.Take((nuint)sizeof(byte*));
            byte* bytes = arena.Take((nuint)addressLength);
            entry->Name = Text(old, ref arena);
            if (entry->Addresses == null || entry->Aliases == null || bytes == null || entry->Name == null)
            {
                return Outcome.NoRoom;
            }

            for (int i = 0; i < addressLength; i++)
            {
                bytes[i] = address[i];
            }

            entry->Addresses[0] = bytes;
            entry->Addresses[1] = null;
            entry->Aliases[0] = null;
            ttl = records.Ttl;
            return Outcome.Found;
        }

        return records.IsBroken ? Outcome.Broken : Outcome.NoData;
    }

    /// <summary>The name in the question of an answer: as it was asked for, but with the letters that the server chose.</summary>
    private static bool Asked(byte* message, int length, byte* name) =>
        length >= NamePointer && DnsMessage.Questions(message) == 1 && DnsName.Unpack(message, length, NamePointer, name) >= 0;

    // What is there before anything is written: a broken answer must leave nothing behind.
    private static Outcome Count(byte* message, int length, int type, byte* name, byte* old, out int addresses, out int aliases)
    {
        addresses = aliases = 0;
        if (!Asked(message, length, name))
        {
            return Outcome.Broken;
        }

        HostRecords records = new(message, length, type);
        while (records.Next(name, old, out bool alias, out _, out int dataLength))
        {
            aliases += alias ? 1 : 0;
            addresses += !alias && dataLength == BytesOf(type) ? 1 : 0;
        }

        return records.IsBroken ? Outcome.Broken
            : addresses != 0 ? Outcome.Found : DnsMessage.Answers(message) != 0 ? Outcome.Useless : Outcome.NoData;
    }

    private static int BytesOf(int type) => type == DnsMessage.TypeA ? 4 : 16;

    private static int FamilyOf(int type) => type == DnsMessage.TypeA ? InternetFamily : Internet6Family;

    private static byte* Text(byte* wire, ref Arena arena)
    {
        byte* text = stackalloc byte[DnsName.MaxText];
        return arena.Copy(text, DnsName.ToText(wire, text));
    }

    private static void Copy(byte* to, byte* from)
    {
        for (int i = 0; i < DnsName.MaxWire; i++)
        {
            to[i] = from[i];
        }
    }
}
