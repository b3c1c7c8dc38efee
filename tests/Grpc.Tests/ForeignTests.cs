using System.Diagnostics;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;

namespace NetKernel.Grpc.Tests;

/// <summary>Clients and servers that are not ours: Debian's python3-grpcio and npm's @grpc/grpc-js.</summary>
public sealed class ForeignTests
{
    // Debian's own: its packages are for it.
    private static string Python => File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3";

    private static string Program(string name) => Path.Combine(AppContext.BaseDirectory, "programs", name);

    [Fact]
    public async Task Pythons_client_is_served_over_TCP()
    {
        await using ProbeHost host = await ProbeHost.StartAsync();
        host.Health.SetStatus("", HealthCheckResponse.Types.ServingStatus.Serving);
        AllRight(await Run(Python, [Program("client.py"), $"127.0.0.1:{host.Port}"]), 18);
    }

    [Fact]
    public async Task Pythons_client_is_served_over_a_unix_socket()
    {
        await using ProbeHost host = await ProbeHost.StartAsync();
        host.Health.SetStatus("", HealthCheckResponse.Types.ServingStatus.Serving);
        AllRight(await Run(Python, [Program("client.py"), "unix:" + host.SocketPath]), 18);
    }

    [Fact]
    public async Task Nodes_client_is_served()
    {
        string modules = Path.Combine(AppContext.BaseDirectory, "grpc-js-1.14");
        if (!Directory.Exists(Path.Combine(modules, "node_modules", "@grpc", "grpc-js")))
        {
            Directory.CreateDirectory(modules);
            (string output, int code) = await Run("npm", ["install", "--silent", "--no-audit", "--no-fund", "--prefix", modules, "@grpc/grpc-js@1.14"]);
            Assert.True(code == 0, output);
        }

        await using ProbeHost host = await ProbeHost.StartAsync();
        AllRight(await Run("node", [Program("client.js"), $"127.0.0.1:{host.Port}"], ("NODE_PATH", Path.Combine(modules, "node_modules"))), 7);
    }

    [Fact]
    public async Task Our_client_calls_Pythons_server()
    {
        using Process python = Begin(Python, [Program("server.py")]);
        try
        {
            string line = await python.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30)) ?? await python.StandardError.ReadToEndAsync();
            Assert.StartsWith("port ", line, StringComparison.Ordinal);
            using GrpcChannel channel = GrpcChannel.ForAddress($"http://127.0.0.1:{line[5..]}");
            var client = new Probe.ProbeClient(channel);
            using AsyncUnaryCall<Note> unary = client.UnaryAsync(new Note { Text = "hello" }, new Metadata { { "x-text", "t" } });
            Assert.Equal("hello", (await unary).Text);
            Assert.Equal("t", (await unary.ResponseHeadersAsync).GetValue("x-text"));
            Assert.Equal([0, 0xFE], unary.GetTrailers().GetValueBytes("x-end-bin"));
            RpcException failure = await Assert.ThrowsAsync<RpcException>(async () => await client.UnaryAsync(new Note { Text = "fail" }));
            Assert.Equal((StatusCode.AlreadyExists, "ünique: 100%"), (failure.StatusCode, failure.Status.Detail));
            failure = await Assert.ThrowsAsync<RpcException>(async () => await client.UnaryAsync(new Note { Text = "sleep" }, deadline: DateTime.UtcNow.AddMilliseconds(300)));
            Assert.Equal(StatusCode.DeadlineExceeded, failure.StatusCode);

            using AsyncClientStreamingCall<Note, Note> collect = client.Collect();
            for (int i = 0; i < 50; i++)
            {
                await collect.RequestStream.WriteAsync(new Note { Number = i });
            }

            await collect.RequestStream.CompleteAsync();
            Assert.Equal(50, (await collect).Number);

            using AsyncServerStreamingCall<Note> count = client.Count(new Note());
            int got = 0;
            failure = await Assert.ThrowsAsync<RpcException>(async () =>
            {
                while (await count.ResponseStream.MoveNext(CancellationToken.None))
                {
                    got++;
                }
            });
            Assert.Equal((100, StatusCode.DataLoss), (got, failure.StatusCode));

            using AsyncDuplexStreamingCall<Note, Note> talk = client.Talk();
            for (int i = 1; i <= 10; i++)
            {
                await talk.RequestStream.WriteAsync(new Note { Number = i });
                Assert.True(await talk.ResponseStream.MoveNext(CancellationToken.None));
                Assert.Equal(i, talk.ResponseStream.Current.Number);
            }

            await talk.RequestStream.CompleteAsync();
            Assert.False(await talk.ResponseStream.MoveNext(CancellationToken.None));
        }
        finally
        {
            python.Kill();
            await python.WaitForExitAsync();
        }
    }

    private static void AllRight((string Output, int Code) result, int checks)
    {
        Assert.DoesNotContain("WRONG", result.Output, StringComparison.Ordinal);
        Assert.True(result.Code == 0, result.Output);
        Assert.Equal(checks, result.Output.Split('\n').Count(line => line.StartsWith("ok ", StringComparison.Ordinal)));
    }

    private static Process Begin(string program, string[] arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    private static async Task<(string Output, int Code)> Run(string program, string[] arguments, params (string Name, string Value)[] environment)
    {
        using Process process = Begin(program, arguments, environment);
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(120));
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
        }

        return (await output + await error, process.HasExited ? process.ExitCode : -1);
    }
}
