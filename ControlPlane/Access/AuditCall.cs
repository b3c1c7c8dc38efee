using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Access;

/// <summary>
/// The call that is being served, if it changes something. Its entry is written in the same transaction as the change, so that there is no change without its entry; an
/// entry of a call that fails is written, or written over, when it has failed.
/// </summary>
internal sealed class AuditCall(long number, AuditEntry entry)
{
    /// <summary>So many entries are kept.</summary>
    public const long Kept = 100_000;

    private static readonly AsyncLocal<AuditCall?> Flowing = new();

    public static AuditCall? Current
    {
        get => Flowing.Value;
        set => Flowing.Value = value;
    }

    public AuditEntry Entry => entry;

    public bool Written { get; private set; }

    public static string KeyOf(long number) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"/audit/{number:D12}");

    /// <summary>The entry with a result, and the end of the oldest one.</summary>
    public IEnumerable<Write> Writes(string result)
    {
        entry.Number = number;
        entry.Result = result;
        entry.Time = Timestamp.FromDateTime(DateTime.UtcNow);
        yield return Write.Put(KeyOf(number), entry.ToByteArray());
        if (number > Kept)
        {
            yield return Write.Delete(KeyOf(number - Kept));
        }
    }

    public void WasWritten() => Written = true;
}
