namespace NetKernel.CoreEngine;

/// <summary>Which of a guest's NSMs serve which of its connections: an ordered table that never changes. The first rule that matches decides.</summary>
internal sealed unsafe class FlowRules
{
    private readonly Rule[] _rules;

    /// <summary>A table of rules that <see cref="Problem"/> finds nothing wrong with.</summary>
    public FlowRules(ReadOnlySpan<RuleMessage> rules)
    {
        _rules = new Rule[rules.Length];
        for (int i = 0; i < rules.Length; i++)
        {
            RuleMessage from = rules[i];
            Rule rule = default;
            (rule.MaskLow, rule.MaskHigh) = Mask(from.PrefixBits);
            rule.Low = from.DestinationLow & rule.MaskLow;
            rule.High = from.DestinationHigh & rule.MaskHigh;
            rule.HasDestination = from.PrefixBits != 0;
            rule.Port = (ushort)from.Port;
            rule.Protocol = (byte)from.Protocol;
            new ReadOnlySpan<byte>(from.Nsms, RuleMessage.MaxNsms).CopyTo(new Span<byte>(rule.Nsms, RuleMessage.MaxNsms));
            _rules[i] = rule;
            HasFlows |= rule.HasDestination || rule.Port != 0 || rule.Protocol != 0;
        }
    }

    /// <summary>Some rule looks at more than the guest: the choice waits for the first request that says where a socket goes.</summary>
    public bool HasFlows { get; }

    /// <summary>What is wrong with a rule, or null.</summary>
    public static string? Problem(in RuleMessage rule) =>
        rule.PrefixBits > 128 ? "a prefix has up to 128 bits"
        : rule.Port > ushort.MaxValue ? "ports are below 65536"
        : rule.Protocol is not (0 or Tcp or Udp) ? "protocols are tcp and udp"
        : null;

    public const uint Tcp = 6, Udp = 17;

    /// <summary>
    /// The NSM for a connection to that address and port, or (without <paramref name="toPeer"/>) for a socket that is bound to that port; null: those that would serve it are away.
    /// </summary>
    public NsmPort? Choose(NsmPort?[] own, uint protocol, bool toPeer, ulong low, ulong high, ushort port)
    {
        for (int i = 0; i < _rules.Length; i++)
        {
            ref Rule rule = ref _rules[i];
            if ((rule.Protocol != 0 && rule.Protocol != protocol) || (rule.Port != 0 && rule.Port != port)
                || (rule.HasDestination && (!toPeer || (low & rule.MaskLow) != rule.Low || (high & rule.MaskHigh) != rule.High)))
            {
                continue;
            }

            for (int n = 0; n < RuleMessage.MaxNsms && rule.Nsms[n] != 0; n++)
            {
                for (int k = 0; k < own.Length; k++)
                {
                    if (own[k] is { Broken: false } nsm && nsm.Id == rule.Nsms[n])
                    {
                        return nsm;
                    }
                }
            }

            return null;
        }

        return null;
    }

    // Addresses are kept as they lie in memory, in network order: the mask's bytes, too.
    private static (ulong Low, ulong High) Mask(uint bits)
    {
        Span<byte> bytes = stackalloc byte[16];
        for (int i = 0; i < 16; i++)
        {
            int left = (int)bits - (8 * i);
            bytes[i] = left >= 8 ? (byte)0xFF : left <= 0 ? (byte)0 : (byte)(0xFF00 >> left);
        }

        return (BitConverter.ToUInt64(bytes), BitConverter.ToUInt64(bytes[8..]));
    }

    private struct Rule
    {
        public ulong Low, High, MaskLow, MaskHigh;
        public ushort Port;
        public byte Protocol;
        public bool HasDestination;
        public fixed byte Nsms[RuleMessage.MaxNsms];
    }
}
