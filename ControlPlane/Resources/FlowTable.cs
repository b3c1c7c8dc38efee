using System.Buffers.Binary;
using System.Net;
using NetKernel.Api.V1;
using NetKernel.Channel;

namespace NetKernel.ControlPlane.Resources;

/// <summary>Which NSMs serve a guest's connections, as follows from what is declared: an ordered list of rules, of which the last is for all connections.</summary>
internal sealed class FlowTable
{
    /// <summary>NSMs that can serve a guest at a time, the shared-memory NSM apart: parts of its pool.</summary>
    public const int MaxNsms = (int)RegionFlags.SharedPart;

    private readonly List<(PolicyMatch? Match, NsmRecord[] Nsms)> _rules = [];

    private FlowTable()
    {
    }

    /// <summary>All NSMs of the rules, the guest's own first.</summary>
    public List<NsmRecord> Nsms { get; } = [];

    /// <summary>What of the policies is left out, or null.</summary>
    public string? Problem { get; private set; }

    /// <summary>The table of a guest.</summary>
    public static FlowTable For(Guest guest, Snapshot now)
    {
        var table = new FlowTable();
        NsmRecord[] own = now.Nsms.GetValueOrDefault(guest.Nsm) is { Declared.Drained: false } first ? [first] : [];
        table.Nsms.AddRange(own);
        foreach (Policy policy in PolicyRules.For(guest, now))
        {
            NsmRecord[] there = [.. policy.Nsms.Select(name => now.Nsms.GetValueOrDefault(name)).OfType<NsmRecord>()];
            NsmRecord[] may = [.. there.Where(nsm => NetworkModes.MayServe(guest, nsm, now))];
            if (may.Length < there.Length)
            {
                table.Problem = $"NSM {there.Except(may).First().Name} of policy {policy.Name} is left out: guests of NSMs in host mode have no addresses, and others' addresses are not there";
                if (may.Length == 0)
                {
                    continue;
                }
            }

            IEnumerable<NsmRecord> named = may.Where(nsm => !nsm.Declared.Drained);
            if (!PolicyRules.IsForFlows(policy.Match))
            {
                own = [.. own.Concat(named).Distinct()];
                break;
            }

            if (table._rules.Count == RuleMessage.MaxRules - 1)
            {
                table.Problem = $"policy {policy.Name} and those after it are left out: a guest has at most {RuleMessage.MaxRules} rules";
                break;
            }

            table._rules.Add((policy.Match, table.Admit([.. named])));
        }

        table._rules.Add((null, table.Admit(own)));
        return table;
    }

    /// <summary>The same text for tables that say the same.</summary>
    public string Signature => string.Join(
        ';', _rules.Select(rule => $"{rule.Match?.Destination} {rule.Match?.Port} {rule.Match?.Protocol} {string.Join(',', rule.Nsms.Select(nsm => nsm.Id))}"));

    /// <summary>One NSM for everything: what CoreEngine does without rules.</summary>
    public bool IsPlain(string nsm) => _rules.Count == 1 && _rules[0].Nsms.Length == 1 && _rules[0].Nsms[0].Name == nsm;

    /// <summary>As CoreEngine takes it.</summary>
    public RuleMessage[] Messages() => [.. _rules.Select(rule => Message(rule.Match, rule.Nsms))];

    /// <summary>
    /// Where what arrives anew is listened for: for protocol (6, 17; 0: all that is left) and port (0: any). The NSM is the first of its rule that is ready, else the first.
    /// </summary>
    public IReadOnlyList<(byte Protocol, ushort Port, NsmRecord Nsm)> Arrivals()
    {
        var arrivals = new List<(byte, ushort, NsmRecord)>();
        foreach (ushort port in _rules.Select(rule => (ushort)(rule.Match?.Port ?? 0)).Append((ushort)0).Distinct())
        {
            foreach (byte protocol in new byte[] { Tcp, Udp })
            {
                if (Choose(protocol, port) is { } nsm)
                {
                    arrivals.Add((protocol, port, nsm));
                }
            }
        }

        if (Choose(Tcp, 0) is { } rest)
        {
            arrivals.Add((0, 0, rest));
        }

        return arrivals;
    }

    private const byte Tcp = 6, Udp = 17;

    private NsmRecord? Choose(byte protocol, ushort port)
    {
        NsmRecord[] nsms = _rules.First(rule => rule.Match is null
            || (rule.Match.Destination.Length == 0 && (rule.Match.Port == 0 || rule.Match.Port == port) && (rule.Match.Protocol.Length == 0 || Number(rule.Match.Protocol) == protocol))).Nsms;
        return nsms.FirstOrDefault(nsm => nsm.Ready) ?? nsms.FirstOrDefault();
    }

    private NsmRecord[] Admit(NsmRecord[] nsms)
    {
        foreach (NsmRecord nsm in nsms.Where(nsm => !Nsms.Contains(nsm)))
        {
            if (Nsms.Count < MaxNsms)
            {
                Nsms.Add(nsm);
            }
            else
            {
                Problem = $"NSM {nsm.Name} is left out: at most {MaxNsms} NSMs serve a guest at a time";
            }
        }

        return [.. nsms.Where(Nsms.Contains)];
    }

    private static byte Number(string protocol) => protocol switch
    {
        "tcp" => Tcp,
        "udp" => Udp,
        _ => 0,
    };

    private static unsafe RuleMessage Message(PolicyMatch? match, NsmRecord[] nsms)
    {
        RuleMessage rule = default;
        if (match is { Destination.Length: > 0 } && IPNetwork.TryParse(match.Destination, out IPNetwork network))
        {
            byte[] address = network.BaseAddress.MapToIPv6().GetAddressBytes();
            rule.DestinationLow = BinaryPrimitives.ReadUInt64LittleEndian(address);
            rule.DestinationHigh = BinaryPrimitives.ReadUInt64LittleEndian(address.AsSpan(8));
            bool four = network.BaseAddress.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork;
            rule.PrefixBits = (uint)network.PrefixLength + (four ? 96u : 0);
        }

        rule.Port = match?.Port ?? 0;
        rule.Protocol = Number(match?.Protocol ?? "");
        for (int i = 0; i < nsms.Length && i < RuleMessage.MaxNsms; i++)
        {
            rule.Nsms[i] = (byte)nsms[i].Id;
        }

        return rule;
    }
}
