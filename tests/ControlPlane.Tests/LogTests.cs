using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.RegularExpressions;
using Grpc.Core;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Tests.Metrics;

namespace NetKernel.ControlPlane.Tests;

/// <summary>nkd's log: its two forms, and what is not in it.</summary>
public sealed partial class LogTests : IDisposable
{
    private const string Password = "hunter2-hunter2";

    private readonly string _folder = Directory.CreateTempSubdirectory("nk-log").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Secrets_reach_neither_the_logs_nor_the_audit_nor_traces()
    {
        string key = MakeCertificates();
        await using OtlpReceiver collector = await OtlpReceiver.StartAsync(grpc: false);
        await using NkdHost host = await NkdHost.StartAsync(
            "--listen", $"127.0.0.1:{FreePort()}", "--tls-dir", _folder, "--otlp-endpoint", collector.Address.ToString(), "--otlp-protocol", "http/protobuf", "--otlp-interval", "1");
        var guests = new GuestService.GuestServiceClient(host.Operator.CreateCallInvoker());
        var headers = new Metadata { { "authorization", "Bearer " + Password }, { "cookie", Password } };
        _ = await guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "web" } }, headers);
        _ = await Assert.ThrowsAsync<RpcException>(() => guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "No Name" } }, headers).ResponseAsync);
        ListAuditResponse audit = await new AuditService.AuditServiceClient(host.Operator.CreateCallInvoker()).ListAuditAsync(new ListAuditRequest());
        Assert.NotEmpty(audit.Entries);
        string all = audit.ToString() + await SpansAsync(collector);
        foreach (string file in Directory.GetFiles(Path.Combine(host.RunDirectory, "log")))
        {
            using var reader = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
            all += await reader.ReadToEndAsync();
        }

        Assert.Contains("CreateGuest", all);
        Assert.DoesNotContain(Password, all);
        Assert.DoesNotContain("PRIVATE KEY", all);
        Assert.All(key.Split('\n').Where(line => line.Length > 20 && !line.StartsWith('-')), line => Assert.DoesNotContain(line, all));
    }

    [Theory]
    [InlineData("json")]
    [InlineData("text")]
    public async Task A_line_is_an_object_or_text(string format)
    {
        await using NkdHost host = await NkdHost.StartAsync("--log-format", format);
        using var reader = new StreamReader(new FileStream(Path.Combine(host.RunDirectory, "log", "nkd.log"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        string[] lines = (await reader.ReadToEndAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.NotEmpty(lines);
        foreach (string line in lines)
        {
            if (format == "text")
            {
                Assert.Matches(TextLine(), line);
                continue;
            }

            JsonElement entry = JsonDocument.Parse(line).RootElement;
            Assert.True(DateTime.TryParse(entry.GetProperty("time").GetString(), CultureInfo.InvariantCulture, out _));
            Assert.NotEmpty(entry.GetProperty("message").GetString()!);
        }
    }

    [GeneratedRegex(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (information|warning|error|critical) \w+: .+$")]
    private static partial Regex TextLine();

    private static Task<string> SpansAsync(OtlpReceiver collector) => collector.UntilAsync(() =>
    {
        string spans = string.Concat(collector.Traces.Select(one => one.Raw));
        return spans.Contains("CreateGuest", StringComparison.Ordinal) ? spans : null;
    });

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>ca.pem, server.pem and server.key; the key as written.</summary>
    private string MakeCertificates()
    {
        using ECDsa authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var authority = new CertificateRequest("CN=ca", authorityKey, HashAlgorithmName.SHA256);
        authority.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using X509Certificate2 ca = authority.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(2));
        using ECDsa serverKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 server = new CertificateRequest("CN=nkd", serverKey, HashAlgorithmName.SHA256)
            .Create(ca, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1), [1, 2, 3]);
        File.WriteAllText(Path.Combine(_folder, "ca.pem"), ca.ExportCertificatePem());
        File.WriteAllText(Path.Combine(_folder, "server.pem"), server.ExportCertificatePem());
        string key = serverKey.ExportPkcs8PrivateKeyPem();
        string path = Path.Combine(_folder, "server.key");
        File.WriteAllText(path, key);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return key;
    }
}
