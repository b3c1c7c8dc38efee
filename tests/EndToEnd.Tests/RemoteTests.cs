using System.Globalization;
using System.Net;
using System.Net.Sockets;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>The API over TCP: by certificates that nk cert makes, and by nothing else.</summary>
public sealed class RemoteTests
{
    [RootFact]
    public void Operators_and_tenants_come_in_by_their_certificates_and_nobody_else_does()
    {
        string folder = Directory.CreateTempSubdirectory("nk-tls").FullName;
        string strange = Directory.CreateTempSubdirectory("nk-tls").FullName;
        try
        {
            int port = FreePort();
            string address = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");
            using NkInstance tool = NkInstance.Up("tls0", "--mode", "host"); // only to run nk cert, which needs no nkd
            Make(tool, folder);
            using NkInstance nk = NkInstance.Up("tls", "--mode", "host", "--listen", address, "--tls-dir", folder);
            Assert.Equal(0, nk.Nk("tenant", "create", "acme").ExitCode);
            Assert.Equal(0, nk.Nk("guest", "create", "theirs").ExitCode);

            CommandResult byOperator = Far(nk, address, folder, "operator", "guest", "list");
            Assert.True(byOperator.Succeeded, byOperator.ToString());
            Assert.Contains("theirs", byOperator.Output, StringComparison.Ordinal);
            CommandResult made = Far(nk, address, folder, "laptop", "guest", "create", "mine");
            Assert.True(made.Succeeded, made.ToString());
            CommandResult byTenant = Far(nk, address, folder, "laptop", "guest", "list");
            Assert.Contains("mine", byTenant.Output, StringComparison.Ordinal);
            Assert.DoesNotContain("theirs", byTenant.Output, StringComparison.Ordinal);
            CommandResult refused = Far(nk, address, folder, "laptop", "nsm", "create", "x");
            Assert.Equal(1, refused.ExitCode);
            Assert.Contains("is for the operator; you are tenant acme cert laptop", refused.Error, StringComparison.Ordinal);

            // Signed by another authority: the client does not know the server, and the server not the client.
            Make(tool, strange);
            Assert.Equal(1, Far(nk, address, strange, "operator", "guest", "list").ExitCode);
            File.Copy(Path.Combine(folder, "ca.pem"), Path.Combine(strange, "ca.pem"), overwrite: true);
            Assert.Equal(1, Far(nk, address, strange, "operator", "guest", "list").ExitCode);

            // No certificate, and one that is for servers.
            using GuestProcess curl = nk.StartRaw(["curl", "-sS", "--max-time", "30", "--cacert", Path.Combine(folder, "ca.pem"), "--http2", $"https://{address}/healthz"]);
            Assert.False(curl.Wait(TimeSpan.FromSeconds(20)).Succeeded);
            Assert.Equal(1, Far(nk, address, folder, "server", "guest", "list").ExitCode);
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder, "operator.key")));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
            Directory.Delete(strange, recursive: true);
        }
    }

    private static void Make(NkInstance nk, string folder)
    {
        foreach (string[] words in new[]
        {
            ["cert", "init"], ["cert", "server", "--host", "127.0.0.1"], ["cert", "client", "operator"], new[] { "cert", "client", "laptop", "--tenant", "acme" },
        })
        {
            CommandResult result = nk.Nk([.. words, "--dir", folder]);
            Assert.True(result.Succeeded, result.ToString());
        }
    }

    private static CommandResult Far(NkInstance nk, string address, string folder, string name, params string[] words) =>
        nk.Nk([.. words, "--address", address, "--tls-dir", folder, "--tls-name", name]);

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
