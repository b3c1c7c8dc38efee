using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using NetKernel.Api;

namespace NetKernel.Cli.Commands;

/// <summary>
/// nk cert: a small certificate authority for a first set-up. Keys are ECDSA P-256, readable by their owner only. A client's role is in its subject, where nkd reads it:
/// OU=operator, or OU=tenant and O=NAME.
/// </summary>
internal static class Certificates
{
    private const int AuthorityDays = 3650, ServerDays = 398;

    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    public static int Authority(string folder)
    {
        _ = Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, "ca.pem"), keyPath = Path.Combine(folder, "ca.key");
        if (File.Exists(path) || File.Exists(keyPath))
        {
            throw CliException.Failure($"{path} is there already: everything it has signed would be worth nothing any more; choose another --dir, or remove it yourself");
        }

        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=NetKernel CA " + Serial(4), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow.AddDays(AuthorityDays));
        Write(path, certificate.ExportCertificatePem(), secret: false);
        Write(keyPath, key.ExportPkcs8PrivateKeyPem(), secret: true);
        Console.Error.WriteLine($"{path} and {keyPath} are made: keep the key where nobody else reads it");
        return ExitCode.Success;
    }

    /// <summary>A server's certificate for names and addresses that clients will use.</summary>
    public static int Server(string folder, string[] hosts)
    {
        if (hosts.Length == 0)
        {
            throw CliException.Usage("by which name or address do clients reach it? --host NAME, may be repeated");
        }

        var names = new SubjectAlternativeNameBuilder();
        foreach (string host in hosts)
        {
            if (IPAddress.TryParse(host, out IPAddress? address))
            {
                names.AddIpAddress(address);
            }
            else
            {
                names.AddDnsName(host);
            }
        }

        Sign(folder, "server", $"CN={Quoted(hosts[0])}", ServerDays, request =>
        {
            request.CertificateExtensions.Add(names.Build());
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], critical: false)); // serverAuth
        });
        return ExitCode.Success;
    }

    /// <summary>A client's certificate; without a tenant the operator's.</summary>
    public static int Client(string folder, string name, string? tenant, int days)
    {
        if (Names.Problem("client", name) is { } problem || (tenant is not null && (problem = Names.Problem("tenant", tenant)) is not null))
        {
            throw CliException.Usage(problem);
        }

        if (days is < 1 or > 825)
        {
            throw CliException.Usage("--days is 1 to 825");
        }

        Sign(folder, name, tenant is null ? $"CN={name}, OU=operator" : $"CN={name}, OU=tenant, O={tenant}", days, request =>
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.2")], critical: false))); // clientAuth
        return ExitCode.Success;
    }

    private static void Sign(string folder, string file, string subject, int days, Action<CertificateRequest> extend)
    {
        string authorityPath = Path.Combine(folder, "ca.pem");
        X509Certificate2 authority;
        try
        {
            authority = X509Certificate2.CreateFromPemFile(authorityPath, Path.Combine(folder, "ca.key"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw CliException.Failure($"there is no authority to sign with in {folder} ({e.Message.TrimEnd('.')}): `nk cert init --dir {folder}` makes one");
        }

        string path = Path.Combine(folder, file + ".pem"), keyPath = Path.Combine(folder, file + ".key");
        if (File.Exists(path))
        {
            authority.Dispose();
            throw CliException.Failure($"{path} is there already: remove it first, or choose another name");
        }

        using (authority)
        using (ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256))
        {
            var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, 0, critical: true));
            request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
            extend(request);
            DateTimeOffset until = DateTimeOffset.UtcNow.AddDays(days);
            using X509Certificate2 certificate = request.Create(
                authority, DateTimeOffset.UtcNow.AddMinutes(-5), until < authority.NotAfter ? until : authority.NotAfter, RandomNumberGenerator.GetBytes(16));
            Write(path, certificate.ExportCertificatePem(), secret: false);
            Write(keyPath, key.ExportPkcs8PrivateKeyPem(), secret: true);
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{path} and {keyPath} are made: {certificate.Subject}, until {certificate.NotAfter.ToUniversalTime():yyyy-MM-dd}"));
        }
    }

    private static string Serial(int bytes) => Convert.ToHexString(RandomNumberGenerator.GetBytes(bytes)).ToLowerInvariant();

    private static string Quoted(string text) => '"' + text.Replace("\"", "\"\"", StringComparison.Ordinal) + '"';

    private static void Write(string path, string text, bool secret)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (secret)
        {
            options.UnixCreateMode = Private;
        }

        using var writer = new StreamWriter(path, options);
        writer.Write(text);
        writer.Write('\n');
    }
}
