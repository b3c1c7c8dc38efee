using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Tests;

/// <summary>Which role a certificate's subject gives.</summary>
public sealed class CertificateTests
{
    [Fact]
    public void The_operator_and_a_known_tenant_have_roles()
    {
        Assert.Equal(new Caller(null, "operator cert laptop"), Of("CN=laptop, OU=operator"));
        Assert.Equal(new Caller("acme", "tenant acme cert laptop"), Of("CN=laptop, OU=tenant, O=acme"));
    }

    [Theory]
    [InlineData("CN=laptop, OU=tenant, O=other", "there is no tenant other")]
    [InlineData("CN=laptop, OU=tenant", "there is no tenant")]
    [InlineData("CN=operator", "names no role")]
    [InlineData("CN=laptop, OU=Operator", "names no role")]
    [InlineData("OU=operator+CN=x", "names no role")]
    public void Nothing_else_has(string subject, string reason)
    {
        ServiceException e = Assert.Throws<ServiceException>(() => Of(subject));
        Assert.Equal(FailureCode.PermissionDenied, e.Code);
        Assert.Contains(reason, e.Message);
    }

    [Fact]
    public void A_folder_without_certificates_is_refused_with_what_to_do() => Assert.Contains(
        "nk cert init", Assert.Throws<ServiceException>(() => ClientCertificates.Load("/nonexistent", new IPEndPoint(IPAddress.Loopback, 1))).Message);

    private static Caller Of(string subject)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 certificate = new CertificateRequest(subject, key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow, DateTimeOffset.UtcNow.AddDays(1));
        return ClientCertificates.CallerOf(certificate, name => name == "acme");
    }
}
