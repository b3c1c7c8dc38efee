using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using NetKernel.Channel;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Tests;

/// <summary>nkd as a whole over its socket, with scripts as programs and a fake engine. In host mode, so that it needs no bridge.</summary>
public sealed class ApiTests : IAsyncLifetime
{
    private static int _count;

    private readonly string _folder = Directory.CreateTempSubdirectory("nkd-").FullName;
    private FakeEngine _engine = null!;
    private HttpClient _http = null!;
    private Task<int> _daemon = null!;

    private string RunDirectory => Path.Combine(_folder, "run");

    public async Task InitializeAsync()
    {
        FakeEngine.WritePrograms(_folder);
        _engine = new FakeEngine(RunDirectory);
        _daemon = Task.Run(() => Daemon.RunAsync(Options($"api-{Environment.ProcessId}-{Interlocked.Increment(ref _count)}", RunDirectory)));
        _http = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, stop) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(RunDirectory, "nkd.sock")), stop);
                return new NetworkStream(socket, ownsSocket: true);
            },
        })
        { BaseAddress = new Uri("http://nkd/v1/") };
        for (int i = 0; i < 1000; i++)
        {
            if (_daemon.IsCompleted)
            {
                _ = await _daemon;
            }

            try
            {
                _ = await _http.GetAsync("status");
                return;
            }
            catch (HttpRequestException)
            {
                await Task.Delay(10);
            }
        }
    }

    public async Task DisposeAsync()
    {
        _ = await _http.PostAsync("shutdown", null);
        Assert.Equal(0, await _daemon.WaitAsync(TimeSpan.FromSeconds(20)));
        _engine.Dispose();
        Assert.False(Directory.Exists(RunDirectory));
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Guests_are_made_listed_and_deleted()
    {
        JsonElement made = await Json(await Put("guests/web", "{}"));
        Assert.Equal("web", made.GetProperty("name").GetString());
        Assert.Equal(1u, made.GetProperty("id").GetUInt32());
        Assert.Equal("ready", made.GetProperty("state").GetString());
        Assert.Equal(HttpStatusCode.OK, (await Put("guests/web", "{}")).StatusCode);
        await Fails(await Post("guests/web", "{}"), HttpStatusCode.Conflict, "exists already");
        _ = await Json(await Post("guests/db", "{\"nsm\":\"kernel0\"}"));
        JsonElement list = await Json(await _http.GetAsync("guests"));
        Assert.Equal(["web", "db"], list.EnumerateArray().Select(guest => guest.GetProperty("name").GetString()!));
        Assert.Equal(HttpStatusCode.OK, (await _http.DeleteAsync("guests/web")).StatusCode);
        await Fails(await _http.DeleteAsync("guests/web"), HttpStatusCode.NotFound, "no guest web");

        // The freed id is used again, and the engine was told everything.
        Assert.Equal(1u, (await Json(await Post("guests/new", "{}"))).GetProperty("id").GetUInt32());
        lock (_engine.Requests)
        {
            Assert.Equal(
                [AttachOp.ControlHello, AttachOp.AddNsm, AttachOp.AddGuest, AttachOp.AddGuest, AttachOp.RemoveGuest, AttachOp.AddGuest],
                _engine.Requests.Select(request => request.Op));
            Assert.Equal(RegionFlags.HostMode, _engine.Requests[2].Flags);
        }
    }

    [Theory]
    [InlineData("guests/Bad", "{}", HttpStatusCode.BadRequest, "is no valid guest name")]
    [InlineData("guests/a", "{\"nsm\":\"none\"}", HttpStatusCode.NotFound, "no NSM none")]
    [InlineData("guests/a", "{\"ipv4\":\"8.8.8.8\"}", HttpStatusCode.BadRequest, "outside the IPv4 subnet")]
    [InlineData("guests/a", "{\"ipv6\":\"nonsense\"}", HttpStatusCode.BadRequest, "not an IPv6 address")]
    [InlineData("guests/a", "not json", HttpStatusCode.BadRequest, "")]
    [InlineData("nsms/kernel0", "{}", HttpStatusCode.Conflict, "exists already")]
    [InlineData("nsms/x", "{\"congestion\":\"vegas\"}", HttpStatusCode.BadRequest, "one of cubic, bbr, reno")]
    [InlineData("nsms/x", "{\"sendBuffer\":-1}", HttpStatusCode.BadRequest, "buffer sizes")]
    public async Task Wrong_requests_get_a_reason(string path, string body, HttpStatusCode status, string reason) => await Fails(await Post(path, body), status, reason);

    [Fact]
    public async Task A_taken_address_is_refused_with_its_owner()
    {
        _ = await Json(await Post("guests/a", "{\"ipv4\":\"198.18.7.7\"}"));
        await Fails(await Post("guests/b", "{\"ipv4\":\"198.18.7.7\"}"), HttpStatusCode.Conflict, "belongs to guest a");
    }

    [Fact]
    public async Task What_the_engine_refuses_leaves_no_guest()
    {
        _engine.Refusal = (AttachOp.AddGuest, 12, "no memory for its pool");
        await Fails(await Post("guests/a", "{}"), HttpStatusCode.InternalServerError, "no memory for its pool");
        Assert.Equal(0, (await Json(await _http.GetAsync("guests"))).GetArrayLength());
        _ = await Json(await Post("guests/a", "{}"));
    }

    [Fact]
    public async Task A_detached_guest_shows_its_reason()
    {
        _ = await Json(await Post("guests/a", "{}"));
        _engine.Tell(AttachOp.GuestDetached, guest: 1, nsm: 0, "job ring: impossible index");
        JsonElement guest = default;
        for (int i = 0; i < 500 && (i == 0 || guest.GetProperty("state").GetString() != "detached"); i++)
        {
            guest = await Json(await _http.GetAsync("guests/a"));
            await Task.Delay(5);
        }

        Assert.Equal("detached", guest.GetProperty("state").GetString());
        Assert.Equal("job ring: impossible index", guest.GetProperty("reason").GetString());
        Assert.Equal(HttpStatusCode.OK, (await _http.DeleteAsync("guests/a")).StatusCode);
    }

    [Fact]
    public async Task NSMs_are_made_and_deleted_but_not_from_under_their_guests()
    {
        JsonElement made = await Json(await Post("nsms/second", "{\"congestion\":\"reno\",\"sendBuffer\":65536}"));
        Assert.Equal(2u, made.GetProperty("id").GetUInt32());
        Assert.Equal("ready", made.GetProperty("state").GetString());
        _ = await Json(await Post("guests/a", "{\"nsm\":\"second\"}"));
        await Fails(await _http.DeleteAsync("nsms/second"), HttpStatusCode.PreconditionFailed, "serves 1 guests (a)");
        Assert.Equal(HttpStatusCode.OK, (await _http.DeleteAsync("guests/a")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await _http.DeleteAsync("nsms/second")).StatusCode);
        Assert.Equal(1, (await Json(await _http.GetAsync("nsms"))).GetArrayLength());
    }

    [Fact]
    public async Task A_killed_engine_is_started_and_told_everything_again()
    {
        _ = await Json(await Post("guests/a", "{}"));
        int pid = (await Json(await _http.GetAsync("status"))).GetProperty("enginePid").GetInt32();
        lock (_engine.Requests)
        {
            _engine.Requests.Clear();
        }

        _ = Network.ProcessesInside.SendSignal(pid, 9);
        for (int i = 0; i < 500; i++)
        {
            lock (_engine.Requests)
            {
                if (_engine.Requests.Count >= 3)
                {
                    break;
                }
            }

            await Task.Delay(10);
        }

        lock (_engine.Requests)
        {
            Assert.Equal([AttachOp.ControlHello, AttachOp.AddNsm, AttachOp.AddGuest], _engine.Requests.Select(request => request.Op));
        }
    }

    [Fact]
    public async Task A_second_nkd_is_refused()
    {
        ServiceException refused = await Assert.ThrowsAsync<ServiceException>(() => Daemon.RunAsync(Options("other", RunDirectory)));
        Assert.Equal(FailureCode.AlreadyExists, refused.Code);
        Assert.Contains($"pid {Environment.ProcessId}", refused.Message);
    }

    [Fact]
    public async Task The_socket_is_for_its_owner_alone()
    {
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(RunDirectory, "nkd.sock")));
        Assert.Equal("ok\n", await _http.GetStringAsync("http://nkd/healthz"));
    }

    [Fact]
    public async Task Counters_and_connections_come_from_the_counter_file()
    {
        await Fails(await _http.GetAsync("stats"), HttpStatusCode.ServiceUnavailable, "CoreEngine is being started");
        _ = await Json(await Post("guests/a", "{}"));
        WriteStats();
        JsonElement stats = await Json(await _http.GetAsync("stats"));
        JsonElement guest = Assert.Single(stats.GetProperty("guests").EnumerateArray());
        Assert.Equal(2 * 1000, guest.GetProperty("bytesSent").GetInt32());
        Assert.Equal(2 * 11, guest.GetProperty("nqesFromGuest").GetInt32());
        Assert.Equal(2, stats.GetProperty("perLoop").GetArrayLength());

        JsonElement[] rows = [.. (await Json(await _http.GetAsync("connections?guest=a"))).EnumerateArray()];
        Assert.Equal(2, rows.Length);
        Assert.Equal("198.18.1.1:80", rows[0].GetProperty("local").GetString());
        Assert.Equal("established", rows[0].GetProperty("state").GetString());
        Assert.Equal("a", rows[0].GetProperty("guest").GetString());
        Assert.Equal("kernel0", rows[0].GetProperty("nsm").GetString());
        await Fails(await _http.GetAsync("connections?guest=zz"), HttpStatusCode.NotFound, "no guest zz");
    }

    private static NkdOptions OptionsOf(params string[] arguments) => NkdOptions.Parse(arguments);

    private NkdOptions Options(string instance, string runDirectory) =>
        OptionsOf("--run-dir", runDirectory, "--instance", instance, "--mode", "host", "--bin-dir", _folder);

    // Two loops, rows 0 and 1 for guests, NSMs and connections.
    private void WriteStats()
    {
        var header = new CountersHeader { Magic = CountersHeader.MagicValue, LayoutVersion = ControlHeader.Version, Loops = 2, Guests = 2, Nsms = 2, Connections = 2, Pid = 1 };
        byte[] file = new byte[header.TotalLength];
        MemoryMarshal.Write(file, header);
        for (uint loop = 0; loop < 2; loop++)
        {
            MemoryMarshal.Write(file.AsSpan((int)header.GuestOf(loop, 1)), new GuestCounters { BytesSent = 1000, NqesFromGuest = 11 });
            MemoryMarshal.Write(file.AsSpan((int)header.ConnectionOf(loop, 1)), new ConnectionRow
            {
                State = ConnectionState.Established,
                Guest = 1,
                Nsm = 1,
                LocalPort = 80,
                LocalHigh = BitConverter.ToUInt64([0, 0, 255, 255, 198, 18, 1, 1]),
            });
        }

        File.WriteAllBytes(Path.Combine(RunDirectory, "engine.stats"), file);
    }

    private Task<HttpResponseMessage> Post(string path, string body) => _http.PostAsync(path, new StringContent(body, Encoding.UTF8, "application/json"));

    private Task<HttpResponseMessage> Put(string path, string body) => _http.PutAsync(path, new StringContent(body, Encoding.UTF8, "application/json"));

    private static async Task<JsonElement> Json(HttpResponseMessage response)
    {
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonDocument.Parse(text).RootElement;
    }

    private static async Task Fails(HttpResponseMessage response, HttpStatusCode status, string reason)
    {
        string text = await response.Content.ReadAsStringAsync();
        Assert.Equal(status, response.StatusCode);
        Assert.Contains(reason, text);
    }
}
