using NetKernel.Channel;
using NetKernel.ControlPlane.Usage;

namespace NetKernel.ControlPlane.Tests.Usage;

/// <summary>Readings made up: NSM 1 is kernel0, NSM 9 is the one by shared memory.</summary>
internal static class Readings
{
    public const uint Kernel = 1, Mtcp = 2, Shared = 9;

    public static readonly UsageKey Platform = new("", "", "");

    public static string NameOf(uint nsm) => nsm switch { Kernel => "kernel0", Mtcp => "mtcp0", Shared => "sharedmem", _ => "?" };

    public static Reading Of(ulong engine = 1, long engineCpu = 0, params long[] loops) =>
        new() { EngineStarted = engine, Engine = new ProcessTime(100, engine, engineCpu), Loops = loops.Length == 0 ? [0] : loops };

    /// <summary>A guest in one loop, by one NSM.</summary>
    public static Reading With(this Reading reading, uint id, string name, ulong since, ulong sent, ulong nqes = 0, uint nsm = Kernel, ulong received = 0, string tenant = "acme")
    {
        var guest = new GuestReading(tenant, name, "kernel0")
        {
            Loops = [.. reading.Loops.Select((_, loop) => loop == 0 ? new GuestCounters { Since = since, BytesSent = sent, NqesFromGuest = nqes, NqesToGuest = nqes } : default)],
        };
        guest.Shares[(0, nsm)] = new NsmShare { BytesSent = sent, BytesReceived = received, NqesToNsm = nqes, NqesFromNsm = nqes };
        reading.Guests[id] = guest;
        return reading;
    }

    public static Reading WithNsm(this Reading reading, uint id, long cpu, int pid = 200, ulong measuredSince = 0, params (uint Guest, GuestMeasures Measures)[] guests)
    {
        var nsm = new NsmReading(NameOf(id)) { Process = new ProcessTime(pid, (ulong)pid, cpu), MeasuredSince = measuredSince };
        foreach ((uint guest, GuestMeasures measures) in guests)
        {
            nsm.Guests.Add(guest, measures);
        }

        reading.Nsms[id] = nsm;
        return reading;
    }

    public static Dictionary<UsageKey, Amounts> Since(this Reading now, Reading? before, params (uint Id, GuestReading Guest)[] ended) =>
        Interval.Between(before, now, ended, TimeSpan.FromSeconds(10), NameOf, Shared);

    public static long Sum(this Dictionary<UsageKey, Amounts> amounts, Amount kind) => amounts.Values.Sum(of => of[kind]);
}
