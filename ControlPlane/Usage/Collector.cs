using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using NetKernel.Channel;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Usage;

/// <summary>Takes readings: out of the files that CoreEngine and the NSMs count in, and from the kernel. Nobody on the data path notices.</summary>
internal sealed class Collector(Platform platform, Registry registry)
{
    private readonly EngineStats _stats = new(platform.Directory.EngineStats);
    private uint _round;

    /// <summary>The name of an NSM by its id.</summary>
    public static string NameOf(Snapshot state, uint nsm) =>
        nsm == NsmRules.MaxId + 1 ? SharedMemory.Name : state.NsmOf(nsm)?.Name ?? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"nsm-{nsm}");

    /// <summary>All counters now; null when there are none. What <paramref name="before"/> knows of guests holds as long as their counters go on.</summary>
    public Reading? Read(Reading? before)
    {
        using SafeFileHandle? file = _stats.Open();
        if (file is null || EngineStats.Header(file) is not { } header)
        {
            return null;
        }

        // The counters come first: a guest that is not declared any more after this is known from before.
        Dictionary<uint, GuestReading> guests = ReadGuests(file, header, before, out Snapshot state);
        var reading = new Reading { EngineStarted = header.Started, Loops = ReadLoops(header), Engine = ProcessClock.Of((int)header.Pid) };
        foreach ((uint id, GuestReading guest) in guests)
        {
            reading.Guests.Add(id, guest);
        }

        _round++;
        foreach (NsmRecord nsm in state.Nsms.Values)
        {
            reading.Nsms.Add(nsm.Id, ReadNsm(nsm, header.Guests, guests.Keys));
        }

        return reading;
    }

    /// <summary>One guest's counters now; null when there are none.</summary>
    public GuestReading? ReadGuest(GuestRecord guest, Reading? before)
    {
        using SafeFileHandle? file = _stats.Open();
        if (file is null || EngineStats.Header(file) is not { } header || guest.Id >= header.Guests)
        {
            return null;
        }

        uint id = guest.Id;
        GuestCounters[] loops = [.. Enumerable.Range(0, (int)header.Loops).Select(loop => EngineStats.Rows<GuestCounters>(file, header.GuestOf((uint)loop, id), 1)[0])];
        if (loops.All(loop => loop.Since == 0) || (before is not null && before.EngineStarted == header.Started && before.Guests.GetValueOrDefault(id) is { } known
            && known.Loops[0].Since == loops[0].Since && known.Name != guest.Name))
        {
            return null;
        }

        var reading = new GuestReading(guest.Declared.Tenant, guest.Name, guest.Nsm) { Loops = loops };
        ReadShares(file, header, id, reading);
        return reading;
    }

    private static unsafe long[] ReadLoops(CountersHeader header)
    {
        long[] loops = new long[header.Loops];
        for (uint i = 0; i < header.Loops; i++)
        {
            loops[i] = header.LoopThreads[i] == 0 ? 0 : ProcessClock.OfThread((int)header.Pid, header.LoopThreads[i]);
        }

        return loops;
    }

    private Dictionary<uint, GuestReading> ReadGuests(SafeFileHandle file, CountersHeader header, Reading? before, out Snapshot state)
    {
        // Ids are given from 1 upwards: those that have been known, those that are, and a few that may have come meanwhile.
        state = registry.Now;
        uint high = Math.Min(header.Guests, 64 + Math.Max(state.GuestIds.Keys.DefaultIfEmpty().Max(), before?.Guests.Keys.DefaultIfEmpty().Max() ?? 0));
        var rows = new GuestCounters[header.Loops][];
        for (uint loop = 0; loop < header.Loops; loop++)
        {
            rows[loop] = EngineStats.Rows<GuestCounters>(file, header.GuestOf(loop, 0), high);
        }

        state = registry.Now;
        var guests = new Dictionary<uint, GuestReading>();
        for (uint id = 0; id < high; id++)
        {
            GuestCounters[] loops = [.. rows.Select(loop => loop[id])];
            if (loops.All(loop => loop.Since == 0))
            {
                continue;
            }

            GuestReading? known = before?.Guests.GetValueOrDefault(id) is { } old && before.EngineStarted == header.Started && old.Loops[0].Since == loops[0].Since ? old : null;
            GuestRecord? declared = state.GuestIds.GetValueOrDefault(id);
            if (known is null && declared is null)
            {
                continue; // it came and went: what it did between was counted when it was removed
            }

            string nsm = declared is not null && (known is null || known.Name == declared.Name) ? declared.Nsm : known!.Nsm;
            var guest = new GuestReading(known?.Tenant ?? declared!.Declared.Tenant, known?.Name ?? declared!.Name, nsm) { Loops = loops };
            ReadShares(file, header, id, guest);
            guests.Add(id, guest);
        }

        return guests;
    }

    private static void ReadShares(SafeFileHandle file, CountersHeader header, uint id, GuestReading guest)
    {
        for (uint loop = 0; loop < header.Loops; loop++)
        {
            NsmShare[] shares = EngineStats.Rows<NsmShare>(file, header.SharesOf(loop, id), header.Nsms);
            for (uint nsm = 0; nsm < shares.Length; nsm++)
            {
                if (!MemoryMarshal.AsBytes(shares.AsSpan((int)nsm, 1)).ContainsAnyExcept((byte)0))
                {
                    continue;
                }

                guest.Shares[(loop, nsm)] = shares[nsm];
            }
        }
    }

    private NsmReading ReadNsm(NsmRecord nsm, uint most, IEnumerable<uint> guests)
    {
        int pid = platform.ProcessOf(nsm)?.Pid ?? 0;
        ProcessTime process = ProcessClock.Of(pid);
        using MeasuresFile? file = MeasuresFile.TryOpen(platform.Directory.MeasuresPath(nsm.Id));
        if (file is null)
        {
            return new NsmReading(nsm.Name) { Process = process };
        }

        var reading = new NsmReading(nsm.Name) { Process = process, MeasuredSince = file.Header.Started };
        foreach (uint guest in guests)
        {
            if (guest < Math.Min(most, file.Header.Guests) && file.Guest(guest) is { Since: not 0 } measures)
            {
                reading.Guests.Add(guest, measures);
            }
        }

        file.Ask(_round);
        return reading;
    }
}
