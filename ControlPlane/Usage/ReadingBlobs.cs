using System.Globalization;
using System.Runtime.InteropServices;
using NetKernel.Channel;

namespace NetKernel.ControlPlane.Usage;

/// <summary>A reading as named blobs, one per guest and NSM, so that only those are written that have changed.</summary>
internal static class ReadingBlobs
{
    private const byte Version = 1;

    public static Dictionary<string, byte[]> Of(Reading reading)
    {
        var blobs = new Dictionary<string, byte[]>
        {
            ["engine"] = Write(to =>
            {
                to.Write(reading.EngineStarted);
                Write(to, reading.Engine);
                to.Write(reading.Loops.Length);
                foreach (long loop in reading.Loops)
                {
                    to.Write(loop);
                }
            }),
        };
        foreach ((uint id, GuestReading guest) in reading.Guests)
        {
            blobs.Add(Key("guest/", id), Write(to =>
            {
                to.Write(guest.Tenant);
                to.Write(guest.Name);
                to.Write(guest.Nsm);
                to.Write(guest.Loops.Length);
                to.Write(MemoryMarshal.AsBytes(guest.Loops.AsSpan()));
                to.Write(guest.Shares.Count);
                foreach (((uint loop, uint nsm), NsmShare share) in guest.Shares)
                {
                    to.Write(loop);
                    to.Write(nsm);
                    to.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<NsmShare>(in share)));
                }
            }));
        }

        foreach ((uint id, NsmReading nsm) in reading.Nsms)
        {
            blobs.Add(Key("nsm/", id), Write(to =>
            {
                to.Write(nsm.Name);
                Write(to, nsm.Process);
                to.Write(nsm.MeasuredSince);
                to.Write(nsm.Guests.Count);
                foreach ((uint guest, GuestMeasures measures) in nsm.Guests)
                {
                    to.Write(guest);
                    to.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<GuestMeasures>(in measures)));
                }
            }));
        }

        return blobs;
    }

    /// <summary>Null when there is none. Throws <see cref="InvalidDataException"/> for one of another version.</summary>
    public static Reading? Parse(IReadOnlyDictionary<string, byte[]> blobs)
    {
        if (!blobs.TryGetValue("engine", out byte[]? engine))
        {
            return null;
        }

        using BinaryReader head = Open(engine);
        var reading = new Reading { EngineStarted = head.ReadUInt64(), Engine = ReadTime(head) };
        reading.Loops = [.. Enumerable.Range(0, head.ReadInt32()).Select(_ => head.ReadInt64())];
        foreach ((string key, byte[] blob) in blobs)
        {
            if (key.StartsWith("guest/", StringComparison.Ordinal))
            {
                using BinaryReader from = Open(blob);
                (string tenant, string name, string nsm) = (from.ReadString(), from.ReadString(), from.ReadString());
                var guest = new GuestReading(tenant, name, nsm) { Loops = [.. Enumerable.Range(0, from.ReadInt32()).Select(_ => Row<GuestCounters>(from))] };
                for (int left = from.ReadInt32(); left > 0; left--)
                {
                    (uint loop, uint by) = (from.ReadUInt32(), from.ReadUInt32());
                    guest.Shares[(loop, by)] = Row<NsmShare>(from);
                }

                reading.Guests.Add(Id(key), guest);
            }
            else if (key.StartsWith("nsm/", StringComparison.Ordinal))
            {
                using BinaryReader from = Open(blob);
                var nsm = new NsmReading(from.ReadString()) { Process = ReadTime(from), MeasuredSince = from.ReadUInt64() };
                for (int left = from.ReadInt32(); left > 0; left--)
                {
                    uint guest = from.ReadUInt32();
                    nsm.Guests[guest] = Row<GuestMeasures>(from);
                }

                reading.Nsms.Add(Id(key), nsm);
            }
        }

        return reading;
    }

    private static string Key(string kind, uint id) => kind + id.ToString(CultureInfo.InvariantCulture);

    private static uint Id(string key) => uint.Parse(key.AsSpan(key.IndexOf('/', StringComparison.Ordinal) + 1), CultureInfo.InvariantCulture);

    private static byte[] Write(Action<BinaryWriter> write)
    {
        using var memory = new MemoryStream();
        using var to = new BinaryWriter(memory);
        to.Write(Version);
        write(to);
        to.Flush();
        return memory.ToArray();
    }

    private static void Write(BinaryWriter to, ProcessTime time)
    {
        to.Write(time.Pid);
        to.Write(time.Start);
        to.Write(time.Nanoseconds);
    }

    private static BinaryReader Open(byte[] blob)
    {
        var from = new BinaryReader(new MemoryStream(blob));
        return blob.Length > 0 && from.ReadByte() == Version ? from : throw new InvalidDataException("a reading of another version");
    }

    private static ProcessTime ReadTime(BinaryReader from) => new(from.ReadInt32(), from.ReadUInt64(), from.ReadInt64());

    private static T Row<T>(BinaryReader from)
        where T : unmanaged
    {
        T row = default;
        from.BaseStream.ReadExactly(MemoryMarshal.AsBytes(new Span<T>(ref row)));
        return row;
    }
}
