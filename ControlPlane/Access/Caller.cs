using System.Globalization;
using System.Net.Sockets;
using Grpc.Core;
using Microsoft.AspNetCore.Connections.Features;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Access;

/// <summary>Who calls. Tenant is null for the operator.</summary>
internal sealed record Caller(string? Tenant, string Description)
{
    public bool IsOperator => Tenant is null;

    /// <summary>Whether the caller may see what belongs to a tenant.</summary>
    public bool Sees(string tenant) => IsOperator || Tenant == tenant;

    /// <summary>Throws unless the caller is the operator.</summary>
    public void MustBeOperator(string what)
    {
        if (!IsOperator)
        {
            throw new ServiceException(FailureCode.PermissionDenied, $"{what} is for the operator; you are {Description}");
        }
    }
}

/// <summary>
/// Finds out who calls: over TCP by the certificate, on the Unix socket by the peer's credentials, which the kernel vouches for. Root and the user who runs nkd are the operator;
/// other users act for the tenant that names their user id.
/// </summary>
internal sealed class Callers(Registry registry)
{
    private readonly uint _self = GetEffectiveUser();

    /// <summary>The caller of a gRPC call; throws <see cref="ServiceException"/> for somebody with no role.</summary>
    public Caller Of(ServerCallContext context) => Of(context.GetHttpContext());

    public Caller Of(HttpContext http)
    {
        if (http.Connection.ClientCertificate is { } certificate)
        {
            return ClientCertificates.CallerOf(certificate, registry.Now.Tenants.ContainsKey);
        }

        Socket? socket = http.Features.Get<IConnectionSocketFeature>()?.Socket;
        if (socket?.AddressFamily != AddressFamily.Unix)
        {
            throw new ServiceException(FailureCode.PermissionDenied, "this connection has no credentials");
        }

        Span<byte> credentials = stackalloc byte[12]; // struct ucred: pid, uid, gid
        if (socket.GetRawSocketOption(1 /* SOL_SOCKET */, 17 /* SO_PEERCRED */, credentials) != 12)
        {
            throw new ServiceException(FailureCode.PermissionDenied, "the kernel does not say who calls");
        }

        int pid = BitConverter.ToInt32(credentials);
        uint uid = BitConverter.ToUInt32(credentials[4..]);
        return OfUser(uid, pid);
    }

    internal Caller OfUser(uint uid, int pid)
    {
        string who = string.Create(CultureInfo.InvariantCulture, $"uid {uid} pid {pid}");
        if (uid == 0 || uid == _self)
        {
            return new Caller(null, "operator " + who);
        }

        string? tenant = registry.Now.Tenants.Values.FirstOrDefault(tenant => tenant.Uids.Contains(uid))?.Name;
        return tenant is not null
            ? new Caller(tenant, $"tenant {tenant} {who}")
            : throw new ServiceException(
                FailureCode.PermissionDenied, $"user {uid} has no role here: run as root or as the user who started nkd, or let the operator add the user to a tenant "
                + $"(`nk tenant update NAME --uid {uid}`)");
    }

    [System.Runtime.InteropServices.DllImport("libc", EntryPoint = "geteuid")]
    private static extern uint GetEffectiveUser();
}
