using System.Globalization;
using Google.Protobuf;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Resources;

/// <summary>A change of what is declared: a new value, or with null the end.</summary>
internal sealed record Declaration(string Kind, string Name, IMessage? Value)
{
    public string Key => Registry.KeyOf(Kind, Name);
}

/// <summary>
/// What is declared, in the store and in memory. Changes are made under <see cref="Changes"/>, and are in the store before anybody sees them here; what
/// follows from them on the machine is the platform's.
/// </summary>
internal sealed class Registry(IStore store)
{
    public const string GuestKind = "guest", NsmKind = "nsm", TenantKind = "tenant", PolicyKind = "policy";

    /// <summary>The tenant of those that name none; it is always there.</summary>
    public const string DefaultTenant = "default";

    private const string SettingsKey = "/settings";

    private volatile Snapshot _now = Snapshot.Empty;

    /// <summary>Held while what is declared, or what follows from it, is changed.</summary>
    public SemaphoreSlim Changes { get; } = new(1, 1);

    public Snapshot Now => _now;

    public IStore Store => store;

    /// <summary>Whether the store has been used before.</summary>
    public bool IsNew { get; private set; }

    public static string KeyOf(string kind, string name) => $"/{kind}/{name}";

    /// <summary>Reads everything. Settings are those that cannot change while anything is declared: the first start writes them, later ones must bring the same.</summary>
    public async Task LoadAsync(string settings)
    {
        Snapshot now = Snapshot.Empty;
        foreach (string kind in new[] { TenantKind, NsmKind, PolicyKind, GuestKind })
        {
            RangeResult all = await store.RangeAsync(KeyRange.Prefix(KeyOf(kind, "")));
            foreach (KeyValue item in all.Items)
            {
                IMessage message = Parse(kind, item);
                now = Take(now, new Declaration(kind, item.Key[(kind.Length + 2)..], message), item.ModRevision);
            }

            now = now with { Revision = all.Revision };
        }

        KeyValue? settingsBefore = (await store.RangeAsync(KeyRange.One(SettingsKey))).Items.FirstOrDefault();
        string? kept = settingsBefore is null ? null : System.Text.Encoding.UTF8.GetString(settingsBefore.Value);
        _now = now;
        IsNew = kept is null;
        if (kept is null)
        {
            var tenant = new Tenant { Name = DefaultTenant, Id = 1 };
            TransactionResult made = await store.CommitAsync(new Transaction(
                [], Write.Put(SettingsKey, System.Text.Encoding.UTF8.GetBytes(settings)), Write.Put(KeyOf(TenantKind, DefaultTenant), tenant.ToByteArray())));
            tenant.ResourceVersion = made.Revision;
            _now = now with { Revision = made.Revision, Tenants = now.Tenants.SetItem(DefaultTenant, tenant) };
        }
        else if (kept != settings)
        {
            throw new Services.ServiceException(
                Services.FailureCode.FailedPrecondition,
                $"what is declared was declared with {kept}, not {settings}: start with the same, or forget it with `nk down --purge` first");
        }
    }

    /// <summary>Writes changes as one transaction, with the audit entry of the call that they are of, and takes them over. Call under <see cref="Changes"/>.</summary>
    public async Task CommitAsync(params IReadOnlyList<Declaration> changes)
    {
        List<Write> writes = [.. changes.Select(change => new Write(change.Key, change.Value is null ? null : Declared(change.Value)))];
        AuditCall? call = AuditCall.Current;
        if (call is not null)
        {
            writes.AddRange(call.Writes("OK"));
        }

        TransactionResult result = await store.CommitAsync(new Transaction([], writes));
        call?.WasWritten();
        Snapshot now = _now with { Revision = result.Revision };
        foreach (Declaration change in changes)
        {
            now = Take(now, change, result.Revision);
        }

        _now = now;
    }

    /// <summary>A stored message, with its revision.</summary>
    public static IMessage Parse(string kind, KeyValue item)
    {
        switch (kind)
        {
            case GuestKind:
                Guest guest = Guest.Parser.ParseFrom(item.Value);
                guest.ResourceVersion = item.ModRevision;
                return guest;
            case NsmKind:
                Nsm nsm = Nsm.Parser.ParseFrom(item.Value);
                nsm.ResourceVersion = item.ModRevision;
                return nsm;
            case TenantKind:
                Tenant tenant = Tenant.Parser.ParseFrom(item.Value);
                tenant.ResourceVersion = item.ModRevision;
                return tenant;
            default:
                Policy policy = Policy.Parser.ParseFrom(item.Value);
                policy.ResourceVersion = item.ModRevision;
                return policy;
        }
    }

    /// <summary>The lowest number from 1 that is not used; 0 when there is none up to the limit.</summary>
    public static uint FreeNumber(uint limit, Func<uint, bool> isUsed)
    {
        for (uint number = 1; number <= limit; number++)
        {
            if (!isUsed(number))
            {
                return number;
            }
        }

        return 0;
    }

    public static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static byte[] Declared(IMessage message) => message.ToByteArray();

    private static Snapshot Take(Snapshot now, Declaration change, long revision)
    {
        switch (change.Kind)
        {
            case GuestKind when change.Value is Guest guest:
                guest.ResourceVersion = revision;
                if (now.Guests.TryGetValue(guest.Name, out GuestRecord? known))
                {
                    known.Declared = guest;
                    return now;
                }

                return now.With(new GuestRecord(guest));
            case GuestKind:
                return now.Guests.TryGetValue(change.Name, out GuestRecord? gone) ? now.Without(gone) : now;
            case NsmKind when change.Value is Nsm nsm:
                nsm.ResourceVersion = revision;
                if (now.Nsms.TryGetValue(nsm.Name, out NsmRecord? there))
                {
                    there.Declared = nsm;
                    return now;
                }

                return now with { Nsms = now.Nsms.Add(nsm.Name, new NsmRecord(nsm)) };
            case NsmKind:
                return now with { Nsms = now.Nsms.Remove(change.Name) };
            case TenantKind when change.Value is Tenant tenant:
                tenant.ResourceVersion = revision;
                return now with { Tenants = now.Tenants.SetItem(tenant.Name, tenant) };
            case TenantKind:
                return now with { Tenants = now.Tenants.Remove(change.Name) };
            case PolicyKind when change.Value is Policy policy:
                policy.ResourceVersion = revision;
                return now with { Policies = now.Policies.SetItem(policy.Name, policy) };
            default:
                return now with { Policies = now.Policies.Remove(change.Name) };
        }
    }
}
