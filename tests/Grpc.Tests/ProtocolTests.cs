using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace NetKernel.Grpc.Tests;

/// <summary>What does not keep to the protocol, and TLS.</summary>
public sealed class ProtocolTests
{
    public static TheoryData<string, byte[], StatusCode> BadBodies => new()
    {
        { "nothing", [], StatusCode.Internal },
        { "half a prefix", [0, 0, 0], StatusCode.Internal },
        { "half a message", [0, 0, 0, 0, 9, 1, 2], StatusCode.Internal },
        { "an unknown flag", [7, 0, 0, 0, 0], StatusCode.Internal },
        { "compressed without a word", [1, 0, 0, 0, 0], StatusCode.Internal },
        { "4 GB announced", [0, 255, 255, 255, 255, 1], StatusCode.ResourceExhausted },
        { "no protobuf", [0, 0, 0, 0, 3, 255, 255, 255], StatusCode.Internal },
        { "two messages", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], StatusCode.Internal },
    };

    [Theory]
    [MemberData(nameof(BadBodies))]
    public async Task A_malformed_body_gets_a_status(string what, byte[] body, StatusCode expected)
    {
        await using ProbeHost host = await ProbeHost.StartAsync();
        (HttpStatusCode http, int? status) = await Post(host, body);
        Assert.True(http == HttpStatusCode.OK && status == (int)expected, $"{what}: HTTP {http}, grpc-status {status}");
        using GrpcChannel channel = host.Channel();
        Assert.Equal("alive", (await new Probe.ProbeClient(channel).UnaryAsync(new Note { Text = "alive" })).Text);
    }

    [Fact]
    public async Task Random_bodies_never_hurt()
    {
        await using ProbeHost host = await ProbeHost.StartAsync();
        var random = new Random(20261121);
        for (int i = 0; i < 300; i++)
        {
            byte[] body = new byte[random.Next(40)];
            random.NextBytes(body);
            if (body.Length > 5 && random.Next(2) == 0)
            {
                new byte[] { 0, 0, 0, 0, (byte)(body.Length - 5) }.CopyTo(body, 0);
            }

            (HttpStatusCode http, int? status) = await Post(host, body);
            Assert.True(http == HttpStatusCode.OK && status is >= 0 and <= 16, $"{i}: HTTP {http}, grpc-status {status}, body {Convert.ToHexString(body)}");
        }
    }

    [Theory]
    [InlineData("grpc-encoding", "gzip", StatusCode.Unimplemented)]
    [InlineData("grpc-encoding", "identity", StatusCode.OK)]
    [InlineData("grpc-timeout", "1000000000S", StatusCode.Internal)]
    [InlineData("grpc-timeout", "S", StatusCode.Internal)]
    [InlineData("grpc-timeout", "-1S", StatusCode.Internal)]
    [InlineData("grpc-timeout", "5X", StatusCode.Internal)]
    [InlineData("grpc-timeout", "99999999H", StatusCode.OK)]
    [InlineData("x-bytes-bin", "!!no base64!!", StatusCode.OK)]
    public async Task Headers_are_checked(string name, string value, StatusCode expected)
    {
        await using ProbeHost host = await ProbeHost.StartAsync();
        (HttpStatusCode http, int? status) = await Post(host, [0, 0, 0, 0, 0], (name, value));
        Assert.Equal((HttpStatusCode.OK, (int)expected), (http, status));
    }

    [Fact]
    public async Task What_is_no_grpc_gets_http_errors()
    {
        await using ProbeHost host = await ProbeHost.StartAsync();
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, (await Post(host, [], contentType: "text/plain")).Http);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, (await Post(host, [], contentType: "application/grpc-web")).Http);
        Assert.Equal((HttpStatusCode.OK, (int)StatusCode.Unimplemented), await Post(host, [], path: "/no.such.Service/Method"));
        Assert.Equal(HttpStatusCode.NotFound, (await Post(host, [], contentType: "text/plain", path: "/no.such.Service/Method")).Http);
    }

    [Fact]
    public async Task Mutual_tls_lets_in_who_has_a_certificate()
    {
        using RSA key = RSA.Create(2048);
        X509Certificate2 server = Certificate("localhost", key), known = Certificate("tenant", key), unknown = Certificate("stranger", key);
        await using ProbeHost host = await ProbeHost.StartAsync(listen: one => one.UseHttps(new HttpsConnectionAdapterOptions
        {
            ServerCertificate = server,
            ClientCertificateMode = ClientCertificateMode.RequireCertificate,
            ClientCertificateValidation = (certificate, _, _) => certificate.Thumbprint == known.Thumbprint,
        }));
        Assert.Equal("in", (await Call(host.Port, server, known)).Text);
        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => Call(host.Port, server, unknown));
        Assert.Equal(StatusCode.Unavailable, refused.StatusCode);
        refused = await Assert.ThrowsAsync<RpcException>(() => Call(host.Port, server, null));
        Assert.Equal(StatusCode.Unavailable, refused.StatusCode);
        refused = await Assert.ThrowsAsync<RpcException>(() => Call(host.Port, unknown, known)); // the client expects another server
        Assert.Equal(StatusCode.Unavailable, refused.StatusCode);
    }

    private static async Task<Note> Call(int port, X509Certificate2 expected, X509Certificate2? own)
    {
        using GrpcChannel channel = GrpcChannel.ForAddress($"https://127.0.0.1:{port}", new GrpcChannelOptions
        {
            DisposeHttpClient = true,
            HttpHandler = new SocketsHttpHandler
            {
                SslOptions = new SslClientAuthenticationOptions
                {
                    ClientCertificates = own is null ? null : [own],
                    RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate?.GetCertHashString() == expected.Thumbprint,
                },
            },
        });
        return await new Probe.ProbeClient(channel).UnaryAsync(new Note { Text = "in" });
    }

    private static X509Certificate2 Certificate(string name, RSA key)
    {
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
    }

    private static async Task<(HttpStatusCode Http, int? Status)> Post(
        ProbeHost host, byte[] body, (string Name, string Value)? header = null, string contentType = "application/grpc", string path = "/netkernel.test.Probe/Unary")
    {
        using var http = new HttpMessageInvoker(new SocketsHttpHandler());
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://127.0.0.1:{host.Port}{path}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(body),
        };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue(contentType);
        if (header is { } one)
        {
            Assert.True(request.Headers.TryAddWithoutValidation(one.Name, one.Value));
        }

        using HttpResponseMessage response = await http.SendAsync(request, CancellationToken.None);
        _ = await response.Content.ReadAsByteArrayAsync();
        return (response.StatusCode, Number(response.TrailingHeaders) ?? Number(response.Headers));
    }

    private static int? Number(HttpHeaders headers) =>
        headers.TryGetValues("grpc-status", out IEnumerable<string>? values) ? int.Parse(values.First(), System.Globalization.CultureInfo.InvariantCulture) : null;
}
