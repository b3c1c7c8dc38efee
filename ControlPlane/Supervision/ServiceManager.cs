using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace NetKernel.ControlPlane.Supervision;

/// <summary>
/// What systemd is told, as sd_notify(3) has it: a datagram to the socket that NOTIFY_SOCKET names. Without it (nkd was started by hand) nothing is sent.
/// </summary>
internal sealed class ServiceManager(string? socketName, string? watchdogMicroseconds) : IDisposable
{
    private Timer? _watchdog;

    /// <summary>With what systemd has put into the environment.</summary>
    public static ServiceManager FromEnvironment() =>
        new(Environment.GetEnvironmentVariable("NOTIFY_SOCKET"), Environment.GetEnvironmentVariable("WATCHDOG_USEC"));

    /// <summary>nkd serves; from here on it gives the signs of life that WatchdogSec= asks for, twice in each interval, as long as the check passes.</summary>
    public void Ready(Func<bool> isAlive)
    {
        Tell("READY=1");
        if (long.TryParse(watchdogMicroseconds, CultureInfo.InvariantCulture, out long microseconds) && microseconds > 0)
        {
            TimeSpan half = TimeSpan.FromMicroseconds(microseconds / 2);
            _watchdog = new Timer(
                _ =>
                {
                    if (isAlive())
                    {
                        Tell("WATCHDOG=1");
                    }
                },
                null, half, half);
        }
    }

    public void Stopping() => Tell("STOPPING=1");

    public void Dispose() => _watchdog?.Dispose();

    private void Tell(string state)
    {
        if (string.IsNullOrEmpty(socketName))
        {
            return;
        }

        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            string path = socketName[0] == '@' ? "\0" + socketName[1..] : socketName; // an abstract name
            _ = socket.SendTo(Encoding.UTF8.GetBytes(state), new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException)
        {
            // Nobody listens any more: then nobody waits for it either.
        }
    }
}
