using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Access;

/// <summary>
/// The API over TCP, for those who bring a certificate that nkd's own authority has signed, and for nobody else. The subject says the role: OU=operator, or OU=tenant and O=NAME.
/// </summary>
internal sealed class ClientCertificates
{
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private readonly X509Certificate2 _authority;
    private readonly X509Certificate2 _server;

    private ClientCertificates(X509Certificate2 authority, X509Certificate2 server, IPEndPoint endpoint)
    {
        _authority = authority;
        _server = server;
        Endpoint = endpoint;
    }

    public IPEndPoint Endpoint { get; }

    /// <summary>Reads ca.pem, server.pem and server.key of a folder, as `nk cert` makes them.</summary>
    public static ClientCertificates Load(string folder, IPEndPoint endpoint)
    {
        try
        {
            return new ClientCertificates(
                X509CertificateLoader.LoadCertificateFromFile(Path.Combine(folder, "ca.pem")),
                X509Certificate2.CreateFromPemFile(Path.Combine(folder, "server.pem"), Path.Combine(folder, "server.key")), endpoint);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new ServiceException(
                FailureCode.FailedPrecondition,
                $"the API over TCP needs ca.pem, server.pem and server.key in {folder} ({e.Message.TrimEnd('.')}): `nk cert init` and `nk cert server --host NAME` make them");
        }
    }

    public void Listen(KestrelServerOptions kestrel) => kestrel.Listen(Endpoint, listen =>
    {
        listen.Protocols = HttpProtocols.Http2;
        _ = listen.UseHttps(https =>
        {
            https.ServerCertificate = _server;
            https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
            https.CheckCertificateRevocation = false;
            https.ClientCertificateValidation = (certificate, _, errors) => !errors.HasFlag(SslPolicyErrors.RemoteCertificateNotAvailable) && IsSigned(certificate);
        });
    });

    /// <summary>The role in a certificate's subject; throws when there is none.</summary>
    public static Caller CallerOf(X509Certificate2 certificate, Func<string, bool> isTenant)
    {
        string? name = null, unit = null, organization = null;
        foreach (X500RelativeDistinguishedName part in certificate.SubjectName.EnumerateRelativeDistinguishedNames())
        {
            if (part.HasMultipleElements)
            {
                continue;
            }

            switch (part.GetSingleElementType().Value)
            {
                case "2.5.4.3": name = part.GetSingleElementValue(); break;
                case "2.5.4.11": unit = part.GetSingleElementValue(); break;
                case "2.5.4.10": organization = part.GetSingleElementValue(); break;
            }
        }

        return unit switch
        {
            "operator" => new Caller(null, $"operator cert {name}"),
            "tenant" when organization is not null && isTenant(organization) => new Caller(organization, $"tenant {organization} cert {name}"),
            "tenant" => throw new ServiceException(FailureCode.PermissionDenied, $"there is no tenant {organization}, which your certificate is for"),
            _ => throw new ServiceException(FailureCode.PermissionDenied, "your certificate names no role: `nk cert client` makes one that does"),
        };
    }

    private bool IsSigned(X509Certificate2 certificate)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        _ = chain.ChainPolicy.CustomTrustStore.Add(_authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        _ = chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        return chain.Build(certificate);
    }
}
