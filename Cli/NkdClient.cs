using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using NetKernel.ControlPlane.Api;

namespace NetKernel.Cli;

/// <summary>nkd's API. Every failure is a <see cref="CliException"/> with one line.</summary>
internal sealed class NkdClient : IDisposable
{
    private readonly HttpClient _http;

    public NkdClient(string runDirectory)
    {
        RunDirectory = runDirectory;
        var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            ConnectCallback = async (_, stop) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(Places.ApiSocket(runDirectory)), stop);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        };
        _http = new HttpClient(handler) { BaseAddress = new Uri("http://nkd/v1/"), Timeout = TimeSpan.FromSeconds(30) };
    }

    public string RunDirectory { get; }

    public StatusInfo Status() => Get("status", ContractJson.Default.StatusInfo);

    /// <summary>Null when nkd does not answer.</summary>
    public StatusInfo? TryStatus()
    {
        try
        {
            return Status();
        }
        catch (CliException)
        {
            return null;
        }
    }

    public void Shutdown() => Send(HttpMethod.Post, "shutdown", null).Dispose();

    public GuestInfo[] Guests(bool processes = false) => Get(processes ? "guests?processes=true" : "guests", ContractJson.Default.GuestInfoArray);

    public GuestInfo CreateGuest(string name, GuestSpec spec, bool mustBeNew) => Read(
        Send(mustBeNew ? HttpMethod.Post : HttpMethod.Put, "guests/" + Escape(name), JsonContent.Create(spec, ContractJson.Default.GuestSpec)),
        ContractJson.Default.GuestInfo);

    public void DeleteGuest(string name, bool force) => Send(HttpMethod.Delete, $"guests/{Escape(name)}{(force ? "?force=true" : "")}", null).Dispose();

    public NsmInfo[] Nsms() => Get("nsms", ContractJson.Default.NsmInfoArray);

    public NsmInfo CreateNsm(string name, NsmSpec spec) => Read(
        Send(HttpMethod.Post, "nsms/" + Escape(name), JsonContent.Create(spec, ContractJson.Default.NsmSpec)), ContractJson.Default.NsmInfo);

    public void DeleteNsm(string name) => Send(HttpMethod.Delete, "nsms/" + Escape(name), null).Dispose();

    public ConnectionEntry[] Connections(string? guest) =>
        Get(guest is null ? "connections" : "connections?guest=" + Escape(guest), ContractJson.Default.ConnectionEntryArray);

    public StatInfo Stats() => Get("stats", ContractJson.Default.StatInfo);

    public void Dispose() => _http.Dispose();

    private static string Escape(string text) => Uri.EscapeDataString(text);

    private static T Read<T>(HttpResponseMessage response, JsonTypeInfo<T> type)
    {
        using (response)
        {
            return response.Content.ReadFromJsonAsync(type).GetAwaiter().GetResult() ?? throw CliException.Failure("nkd gave an empty answer");
        }
    }

    private T Get<T>(string path, JsonTypeInfo<T> type) => Read(Send(HttpMethod.Get, path, null), type);

    private HttpResponseMessage Send(HttpMethod method, string path, HttpContent? content)
    {
        HttpResponseMessage response;
        try
        {
            response = _http.SendAsync(new HttpRequestMessage(method, path) { Content = content }).GetAwaiter().GetResult();
        }
        catch (HttpRequestException e) when (Denied(e))
        {
            throw CliException.Failure($"no permission to speak to nkd in {RunDirectory}: run as the user who did `nk up`, most often root");
        }
        catch (HttpRequestException)
        {
            throw CliException.Failure($"NetKernel is not up in {RunDirectory}: `nk up` starts it (--run-dir or --instance names another)");
        }
        catch (TaskCanceledException)
        {
            throw CliException.Failure($"nkd in {RunDirectory} does not answer: log/nkd.log says more; `nk down` ends it");
        }

        if (response.IsSuccessStatusCode)
        {
            return response;
        }

        using (response)
        {
            string text = response.Content.ReadAsStringAsync().GetAwaiter().GetResult();
            try
            {
                ErrorInfo? error = JsonSerializer.Deserialize(text, ContractJson.Default.ErrorInfo);
                throw new CliException(error?.Code == "InvalidArgument" ? ExitCode.Usage : ExitCode.Failure, error?.Message ?? text);
            }
            catch (JsonException)
            {
                throw CliException.Failure($"nkd answered {(int)response.StatusCode} {response.ReasonPhrase}");
            }
        }
    }

    private static bool Denied(Exception e) =>
        e.InnerException is SocketException { SocketErrorCode: SocketError.AccessDenied } || (e.InnerException is { } inner && Denied(inner));
}
