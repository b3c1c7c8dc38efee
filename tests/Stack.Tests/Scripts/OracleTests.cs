using System.Reflection;

namespace NetKernel.Stack.Tests;

/// <summary>The packet scripts, played against Linux's TCP: what it does otherwise is listed here with the reason.</summary>
public sealed class OracleTests
{
    private const string TooLong = "lasts longer than a test on a real clock should";

    /// <summary>Scripts that are not for the kernel, or that it fulfils otherwise.</summary>
    private static readonly Dictionary<string, string> Differs = new()
    {
        ["ConnectionScripts.KeepAlive"] = TooLong,
        ["ConnectionScripts.KeepIdleWhileIdle"] = TooLong,
        ["ConnectionScripts.SynIsRepeated"] = TooLong,
        ["ConnectionScripts.SynAckIsRepeatedAndForgotten"] = TooLong,
        ["ConnectionScripts.DataAfterClose"] = "Linux's RST for a closed program has no ACK; both are RFC 9293's",
        ["ConnectionScripts.SynCookies"] = "Linux's cookies know other sizes of segments",
        ["ConnectionScripts.DataMayOvertakeTheAnswerToACookie"] = TooLong,
        ["ConnectionScripts.Paws"] = "Linux takes segments without the timestamp that was agreed; RFC 7323, 3.2 has them dropped",
        ["DataScripts.FastRetransmitWithoutSack"] = "Linux leaves recovery with what is in flight and three segments (tcp_moderate_cwnd); RFC 6582, 3.2 has both",
        ["LossScripts.DctcpEchoesExactly"] = "the kernel's congestion control is another",
        ["DataScripts.RackRecovery"] = "Linux grows by the acknowledgement that ends recovery, though the program has nothing more to send",
        ["DataScripts.ARequestIsAcknowledgedWithItsAnswer"] = "Linux acknowledges the first segments at once, however small",
        ["DataScripts.Ecn"] = "Linux slows down twice when echoes go on in the acknowledgement of the whole window; we wait until CWR has arrived (RFC 3168, 6.1.2)",
        ["DataScripts.WindowClosesAndOpens"] = "Linux counts a segment's overhead in its buffer, and drops what is beyond",
        ["PathScripts.ABlackHoleIsFound"] = "Linux looks for black holes only when net.ipv4.tcp_mtu_probing says so",
        ["PathScripts.AProbeThatArrivesEndsTheSearch"] = "Linux looks for black holes only when net.ipv4.tcp_mtu_probing says so",
        ["PathScripts.AProbeThatIsLostIsNoCongestion"] = "Linux looks for black holes only when net.ipv4.tcp_mtu_probing says so",
        ["PathScripts.PathMtuOverIpv6"] = "Linux cuts what goes again across the borders of the first segments",
        ["PathScripts.PathMtu"] = "Linux cuts what goes again across the borders of the first segments",
        ["CongestionScripts.CubicIsFriendlyToReno"] = "Linux grows by the acknowledgement that ends recovery, too",
        ["CongestionScripts.BbrProbesForTheLeastRoundTrip"] = TooLong,
        ["CongestionScripts.BbrDoesNotProbeAfterAPause"] = TooLong,
        ["NumberScripts.TheClockTicksEveryFourMicroseconds"] = "Linux's clock ticks every 64 ns",
        ["FastOpenScripts.ServerTakesDataInASyn"] = "Linux tells of an open window before the handshake is over by the SYN-ACK once more",
        ["FastOpenScripts.ClientSendsDataInItsSyn"] = "Linux's send takes no more than the SYN does",
        ["FastOpenScripts.ABlackHoleIsRemembered"] = "Linux suspects a path only after several failures",
    };

    public static TheoryData<string> Names()
    {
        TheoryData<string> names = [];
        foreach ((string name, MethodInfo _) in Scripts())
        {
            names.Add(name);
        }

        return names;
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void TheKernelPlaysTheScript(string name)
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/dev/net/tun"))
        {
            return; // A TAP needs root.
        }

        if (Differs.TryGetValue(name, out string? reason) && reason == TooLong)
        {
            return;
        }

        MethodInfo method = Scripts().Single(script => script.Name == name).Method;
        string? wrong = null;
        PacketScript.Instead = (script, options) =>
        {
            // On a busy machine a timer of the kernel's may run out before the script's next segment: then once more.
            wrong = KernelScript.Run(script, options);
            for (int again = 0; again < 3 && wrong != null && !Differs.ContainsKey(name); again++)
            {
                wrong = KernelScript.Run(script, options);
            }
        };
        try
        {
            _ = method.Invoke(Activator.CreateInstance(method.DeclaringType!), null);
        }
        finally
        {
            PacketScript.Instead = null;
        }

        if (reason != null)
        {
            Assert.True(wrong != null, $"the kernel does what the script says after all; listed as: {reason}");
        }
        else
        {
            Assert.True(wrong == null, wrong);
        }
    }

    private static IEnumerable<(string Name, MethodInfo Method)> Scripts() =>
        from type in typeof(PacketScript).Assembly.GetTypes()
        where type.Name.EndsWith("Scripts", StringComparison.Ordinal)
        from method in type.GetMethods()
        where method.GetCustomAttribute<FactAttribute>() != null
        select ($"{type.Name}.{method.Name}", method);
}
