using System.Globalization;
using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench;

/// <summary>
/// Processor time of operations by who used it, which a busy machine changes much less than their time: nkd itself, the `ip` that it starts, and CoreEngine. Sums over tenths of the operations.
/// </summary>
internal sealed class ApiCost(NkInstance nk, int slice)
{
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(6); // three looks of nkd, one of its usage or none

    private readonly Dictionary<(string What, int Slice), Cpu> _sums = [];
    private int _nkd = nk.ControlPlanePid;
    private readonly int _engine = nk.EnginePid;

    /// <summary>Processor time in ms.</summary>
    internal readonly record struct Cpu(double Nkd, double Started, double Engine)
    {
        public static Cpu operator -(Cpu a, Cpu b) => new(a.Nkd - b.Nkd, a.Started - b.Started, a.Engine - b.Engine);

        public static Cpu operator +(Cpu a, Cpu b) => new(a.Nkd + b.Nkd, a.Started + b.Started, a.Engine + b.Engine);

        public static Cpu operator /(Cpu a, double n) => new(a.Nkd / n, a.Started / n, a.Engine / n);
    }

    /// <summary>nkd has been started anew.</summary>
    public void Renew() => _nkd = nk.ControlPlanePid;

    /// <summary>Does the i-th operation of a kind, and counts what it cost nkd and what nkd started.</summary>
    public void Of(string what, int i, Action operation) => Count(what, i, operation, Now);

    /// <summary>The same of an operation that this process does by programs that it starts.</summary>
    public void OfOurs(string what, int i, Action operation) => Count(what, i, operation, () => new Cpu(0, Waited("self"), 0));

    /// <summary>What nkd and CoreEngine use while nobody asks for anything, in ms of processor time a second.</summary>
    public Cpu Idle()
    {
        Cpu before = Now();
        Thread.Sleep(IdleTime);
        return (Now() - before) / IdleTime.TotalSeconds;
    }

    /// <summary>ms of processor time an operation, in a tenth of them.</summary>
    public Cpu Mean(string what, int tenth) => _sums.GetValueOrDefault((what, tenth)) / slice;

    private void Count(string what, int i, Action operation, Func<Cpu> now)
    {
        Cpu before = now();
        operation();
        (string, int) key = (what, i / slice);
        _sums[key] = _sums.GetValueOrDefault(key) + (now() - before);
    }

    private Cpu Now() => new(ProcessCpu.Seconds(_nkd) * 1000, Waited(_nkd.ToString(CultureInfo.InvariantCulture)), ProcessCpu.Seconds(_engine) * 1000);

    // Of children that have been waited for (proc_pid_stat(5), cutime and cstime), in ticks of 10 ms: sums of many are right.
    private static double Waited(string pid)
    {
        string stat = File.ReadAllText($"/proc/{pid}/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return 10 * (long.Parse(fields[13], CultureInfo.InvariantCulture) + long.Parse(fields[14], CultureInfo.InvariantCulture));
    }
}
