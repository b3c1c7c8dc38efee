using System.Net.Sockets;
using System.Text;
using NetKernel.ControlPlane.Supervision;

namespace NetKernel.ControlPlane.Tests;

/// <summary>What systemd hears.</summary>
public sealed class ServiceManagerTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void It_hears_ready_then_signs_of_life_then_stopping(bool isAbstract)
    {
        string name = Path.Combine(Path.GetTempPath(), $"nk-notify-{Environment.ProcessId}-{isAbstract}");
        using var systemd = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { ReceiveTimeout = 20_000 };
        systemd.Bind(new UnixDomainSocketEndPoint(isAbstract ? "\0" + name : name));
        try
        {
            using var manager = new ServiceManager(isAbstract ? "@" + name : name, "20000");
            bool alive = true;
            manager.Ready(() => Volatile.Read(ref alive));
            Assert.Equal("READY=1", Next(systemd));
            Assert.Equal("WATCHDOG=1", Next(systemd));
            Volatile.Write(ref alive, false);
            manager.Stopping();
            string heard = Next(systemd);
            for (int i = 0; i < 100 && heard == "WATCHDOG=1"; i++)
            {
                heard = Next(systemd);
            }

            Assert.Equal("STOPPING=1", heard);
        }
        finally
        {
            File.Delete(name);
        }
    }

    [Fact]
    public void Without_systemd_nothing_happens()
    {
        using var manager = new ServiceManager(null, null);
        manager.Ready(() => true);
        manager.Stopping();
    }

    private static string Next(Socket socket)
    {
        byte[] buffer = new byte[100];
        return Encoding.UTF8.GetString(buffer, 0, socket.Receive(buffer));
    }
}
