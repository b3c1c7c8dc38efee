using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace NetKernel.ControlPlane;

/// <summary>
/// One line each into a file: a JSON object with time, level, category, message, its named values, and the exception; or the same as text for people.
/// </summary>
internal sealed class FileLog : ILoggerProvider
{
    private static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly FileStream _file;
    private readonly bool _json;
    private readonly Lock _sync = new();

    public FileLog(string path, bool json = true)
    {
        _file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
        _json = json;
    }

    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName[(categoryName.LastIndexOf('.') + 1)..]);

    public void Dispose() => _file.Dispose();

    private void Write(ReadOnlySpan<byte> line)
    {
        lock (_sync)
        {
            _file.Write(line);
            _file.Flush();
        }
    }

    private sealed class Logger(FileLog log, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!log._json)
            {
                string text = $"{DateTime.UtcNow:yyyy-MM-ddTHH:mm:ss.fffZ} {logLevel.ToString().ToLowerInvariant()} {category}: {formatter(state, exception)}{(exception is null ? "" : " " + exception)}";
                log.Write(Encoding.UTF8.GetBytes(string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c)) + "\n")); // one line, whatever a name or a path holds
                return;
            }

            using var buffer = new MemoryStream();
            using (var json = new Utf8JsonWriter(buffer, Json))
            {
                json.WriteStartObject();
                json.WriteString("time", DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
                json.WriteString("level", logLevel.ToString().ToLowerInvariant());
                json.WriteString("part", category);
                json.WriteString("message", formatter(state, exception));
                if (state is IEnumerable<KeyValuePair<string, object?>> values)
                {
                    foreach ((string key, object? value) in values.Where(pair => pair.Key != "{OriginalFormat}"))
                    {
                        json.WriteString(JsonNamingPolicy.CamelCase.ConvertName(key), Convert.ToString(value, CultureInfo.InvariantCulture));
                    }
                }

                if (exception is not null)
                {
                    json.WriteString("exception", exception.ToString());
                }

                json.WriteEndObject();
            }

            buffer.Write(Encoding.UTF8.GetBytes("\n"));
            log.Write(buffer.ToArray());
        }
    }
}
