using NetKernel.ControlPlane.Configuration;

namespace NetKernel.ControlPlane.Tests;

/// <summary>nkd --help and nkd(8) tell of everything that there is.</summary>
public sealed class ManualTests
{
    [Fact]
    public void Every_setting_is_described_in_the_help_and_in_the_manual()
    {
        Assert.Equal(Setting.Names.Order(), Manual.Settings.Select(setting => setting.Name).Order());
        string page = Manual.Page("1.2.3"), file = Manual.ConfigurationPage("1.2.3");
        Assert.All(Setting.Names, name => Assert.Contains($".TP\n\\fB{name.Replace("-", "\\-")}\\fR", file));
        Assert.All(Setting.Names, name => Assert.Contains("--" + name, Manual.Help));
        Assert.All(Setting.Names, name => Assert.Contains(Setting.Variable(name), page));
    }
}
